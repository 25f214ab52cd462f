// Lays the 64-pixel pictures of the npm package emoji-datasource-google out as a data set, one folder for each group:
//
//     node make-data.mjs PACKAGE DATA      # PACKAGE: the unpacked package; DATA: a folder, replaced
//
// Component (bare skin tones and hair) is left out, since those are no pictures of their own; skin-tone variants are left out,
// since they would outweigh all other emoji with near copies of a few people.
import { copyFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

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

const [source, target] = process.argv.slice(2);
if (!source || !target) {
  console.error("usage: node make-data.mjs PACKAGE DATA");
  process.exit(2);
}
rmSync(target, { recursive: true, force: true });
const counts = {};
for (const emoji of JSON.parse(readFileSync(join(source, "emoji.json"), "utf8"))) {
  if (!emoji.has_img_google || emoji.category === LEFT_OUT) continue;
  const group = GROUPS[emoji.category];
  if (!group) throw new Error(`${emoji.name} is in the unknown group ${emoji.category}`);
  if (!counts[group]) mkdirSync(join(target, group), { recursive: true });
  copyFileSync(join(source, "img/google/64", emoji.image), join(target, group, emoji.image));
  counts[group] = (counts[group] ?? 0) + 1;
}
console.log(Object.entries(counts).map(([group, count]) => `${count} ${group}`).join(", "));
