// Lays emoji of three vendors out as a data set: train/ and test/ with a folder for each group, and in it 64-pixel pictures named
// CODE-VENDOR.png:
//
//     node make-data.mjs PACKAGES DATA      # PACKAGES: a folder of the unpacked packages below; DATA: a folder that is not there yet
//
// | folder | npm package | what is taken from it |
// |---|---|---|
// | noto | emoji-datasource-google | the groups, and Noto emoji (Google, Apache 2.0), unchanged |
// | twemoji | emoji-datasource-twitter | Twemoji (Twitter and other contributors, CC BY 4.0), unchanged |
// | fluent | @iconify-json/fluent-emoji-flat | Fluent Emoji (Microsoft, MIT), drawn from their curves |
// | resvg | @resvg/resvg-wasm | what draws them |
//
// Component (bare skin tones and hair) is left out, since those are no pictures of their own; skin-tone variants are left out,
// since they would outweigh all other emoji with near copies of a few people. Microsoft draws no flags of countries, and not every
// family. The code comes first in a name, so that what the vendors draw of one idea lies side by side. Of a group's ideas every
// twentieth is kept back for tests, whoever drew it, and what equals one of its pictures under another name is left out: so no network
// has seen a test picture in another hand's stroke.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const GROUPS = {
  "Smileys & Emotion": "smileys",
  "People & Body": "people",
  "Animals & Nature": "animals",
  "Food & Drink": "food",
  "Travel & Places": "travel",
  Activities: "activities",
  Objects: "objects",
  Symbols: "symbols",
  Flags: "flags",
};
const LEFT_OUT = "Component";
const SIZE = 64;
const TEST_EVERY = 20;

const [packages, target] = process.argv.slice(2);
if (!packages || !target) {
  console.error("usage: node make-data.mjs PACKAGES DATA");
  process.exit(2);
}
const bytes = (...path) => readFileSync(join(packages, ...path));
const json = (...path) => JSON.parse(bytes(...path));

const { initWasm, Resvg } = await import(pathToFileURL(resolve(packages, "resvg/index.mjs")));
await initWasm(bytes("resvg/index_bg.wasm"));
const fluent = json("fluent/icons.json");

// Fluent's codes are without the variation selector FE0F, which says that a character is meant in colour.
const plain = (code) => code.toLowerCase().replaceAll("-fe0f", "");
const fluentNames = new Map(Object.entries(json("fluent/chars.json")).map(([code, name]) => [plain(code), name]));

// Two pictures are a little taller than wide; SVG lays them in the middle of the square, whole.
function drawn({ body, width = fluent.width, height = fluent.height }) {
  const view = `width="${SIZE}" height="${SIZE}" viewBox="0 0 ${width} ${height}"`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${view}>${body}</svg>`;
  const picture = new Resvg(svg).render();
  if (picture.width !== SIZE || picture.height !== SIZE) throw new Error(`a picture of ${picture.width}×${picture.height}`);
  return picture.asPng();
}

// What the vendors draw of each idea, by group, in the order of codes.
const groups = new Map(Object.values(GROUPS).map((group) => [group, []]));
const byCode = (a, b) => (a.image < b.image ? -1 : 1);
for (const emoji of json("noto/emoji.json").sort(byCode)) {
  if (emoji.category === LEFT_OUT) continue;
  const group = GROUPS[emoji.category];
  if (!group) throw new Error(`${emoji.name} is in the unknown group ${emoji.category}`);
  const pictures = {};
  if (emoji.has_img_google) pictures.noto = bytes("noto/img/google/64", emoji.image);
  if (emoji.has_img_twitter) pictures.twemoji = bytes("twemoji/img/twitter/64", emoji.image);
  const icon = fluent.icons[fluentNames.get(plain(emoji.unified))];
  if (icon) pictures.fluent = drawn(icon);
  groups.get(group).push({ code: emoji.image.replace(/\.png$/, ""), pictures });
}

const digest = (picture) => createHash("sha256").update(picture).digest("hex");
const keptBack = new Set();
for (const half of ["test", "train"]) {
  for (const [group, ideas] of groups) {
    const counts = { noto: 0, twemoji: 0, fluent: 0 };
    mkdirSync(join(target, half, group), { recursive: true });
    for (const [i, { code, pictures }] of ideas.entries()) {
      if (((i + 1) % TEST_EVERY === 0) !== (half === "test")) continue;
      for (const [vendor, picture] of Object.entries(pictures)) {
        if (half === "test") keptBack.add(digest(picture));
        else if (keptBack.has(digest(picture))) continue;
        counts[vendor] += 1;
        writeFileSync(join(target, half, group, `${code}-${vendor}.png`), picture);
      }
    }
    console.log(`${half}, ${group}: ${counts.noto} Noto, ${counts.twemoji} Twemoji, ${counts.fluent} Fluent`);
  }
}
