import { defineConfig } from "@playwright/test";
import { existsSync } from "node:fs";

const NAMES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];
const executablePath = process.env.CHROMIUM ?? NAMES.find(existsSync);

export default defineConfig({
  testMatch: "*.spec.mjs",
  outputDir: "../../target/page-tests",
  forbidOnly: true,
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 60_000 },
  reporter: [["list"]],
  use: {
    viewport: { width: 1280, height: 900 },
    launchOptions: { executablePath, args: ["--no-sandbox"] },
  },
});
