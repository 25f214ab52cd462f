// A static host for dist/, under any path: what GitHub Pages and its like do, and nothing more.
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

export const DIST = process.env.DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));

/** Serves `root` at http://127.0.0.1:<port><base>; port 0 takes a free one. `instead` holds the text of files that are not as they lie there. */
export function serve(base = "/", port = 0, root = DIST, instead = {}) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    let file = path.startsWith(base) ? join(root, normalize("/" + path.slice(base.length))) : null;
    if (file?.endsWith("/")) file += "index.html";
    const text = file && instead[relative(root, file)];
    if (text) {
      response.writeHead(200, { "content-type": TYPES[extname(file)] }).end(text);
      return;
    }
    if (!file || !statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    const { size } = statSync(file);
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-length": size });
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      resolve({ url: `http://127.0.0.1:${server.address().port}${base}`, close: () => server.close() });
    });
  });
}
