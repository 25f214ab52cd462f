// Firefox, by WebDriver BiDi.
import puppeteer from "puppeteer-core";
import { which } from "./process.mjs";

/** Where it is, if it is anywhere. */
export const firefox = () => process.env.FIREFOX ?? which("firefox-esr", "firefox", "/Applications/Firefox.app/Contents/MacOS/firefox");

/** Starts it with one tab. */
export async function open(timeout) {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: firefox(),
    headless: true,
    timeout,
    protocolTimeout: timeout,
    defaultViewport: { width: 1280, height: 900 },
  });
  const [page] = await browser.pages();
  page.setDefaultTimeout(timeout);
  const find = async (role, name) => {
    const found = await page.waitForSelector(`::-p-aria([name="${name}"][role="${role}"])`);
    return { click: () => found.click(), press: (key) => found.press(key) };
  };
  return {
    goto: (url) => page.goto(url),
    evaluate: (body) => page.evaluate(`(async () => { ${body} })()`),
    find,
    screenshot: () => page.screenshot({ encoding: "base64" }),
    end: () => browser.close(),
  };
}
