// Programs that a test starts, and ends with everything that they have started in turn.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";

/** Debian has every browser that the tests know, so that none is left out there. */
export const DEBIAN = existsSync("/etc/os-release") && /^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"));

/** Where a program of one of these names is, if it is anywhere. */
export function which(...names) {
  const folders = (process.env.PATH ?? "").split(":");
  return names.flatMap((name) => name.startsWith("/") ? [name] : folders.map((folder) => `${folder}/${name}`)).find(existsSync);
}

/** What lies in a folder and has such a name. */
export const inside = (folder, name = /./) =>
  statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder).filter((entry) => name.test(entry)).map((entry) => `${folder}/${entry}`) : [];

/** Starts a program, which may write to a pipe 3; `end` ends it and what it has started. */
export function start(program, args, env = {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "ignore", "pipe"], detached: true });
  const gone = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  // It leads a process group of its own.
  const signal = (name) => {
    try {
      process.kill(-child.pid, name);
    } catch {
      // There is nobody left.
    }
  };
  const atExit = () => signal("SIGKILL");
  process.once("exit", atExit);
  const end = async () => {
    signal("SIGTERM");
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 5000))]);
    signal("SIGKILL");
    process.off("exit", atExit);
  };
  return { child, gone, end };
}

/** A port that nobody has at the moment. */
export function freePort() {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
