// `/tmp` of a handler is the environment's own directory: the functions of
// `node:fs` that take a path get the real one. Evaluated before `node:fs`, whose
// named exports are then the wrapped functions.
import { core, primordials } from "ext:core/mod.js";

const { ReflectApply, StringPrototypeSlice, StringPrototypeStartsWith } = primordials;

const ONE_PATH = ["access", "appendFile", "chmod", "chown", "exists", "lchown", "lstat", "lutimes", "mkdir", "mkdtemp",
  "open", "opendir", "readFile", "readdir", "readlink", "realpath", "rm", "rmdir", "stat", "statfs", "truncate", "unlink",
  "utimes", "writeFile", "openAsBlob", "watch", "watchFile", "unwatchFile"];
const TWO_PATHS = ["copyFile", "cp", "link", "rename", "symlink"];

let directory = "/tmp";
let packageDirectory = "/var/task";

/** Sets the directory that stands behind `/tmp`. */
export function setTmpDir(path) {
  directory = path;
}

/** Sets the function's own directory, which keeps its path wherever it is. */
export function setPackageDir(path) {
  packageDirectory = path;
}

const isBelow = (path, parent) => path === parent || StringPrototypeStartsWith(path, `${parent}/`);

function real(path) {
  if (typeof path !== "string" || !isBelow(path, "/tmp")) return path;
  if (isBelow(path, directory) || isBelow(path, packageDirectory)) return path;
  return directory + StringPrototypeSlice(path, 4);
}

function mapped(target, paths) {
  return new Proxy(target, {
    apply(call, self, args) {
      for (let index = 0; index < paths; index++) args[index] = real(args[index]);
      return ReflectApply(call, self, args);
    },
  });
}

function wrap(owner) {
  for (const [names, paths] of [[ONE_PATH, 1], [TWO_PATHS, 2]]) {
    for (const name of names) {
      for (const key of [name, `${name}Sync`]) {
        const { value } = Object.getOwnPropertyDescriptor(owner, key) ?? {};
        if (typeof value === "function") owner[key] = mapped(value, paths);
      }
    }
  }
}

/** Wraps what is not yet there while the start-up file is made. */
export function installTmp(promises) {
  for (const owner of new Set([promises, fs.promises, core.loadExtScript("ext:deno_node/fs/promises.ts")])) wrap(owner);
}

const fs = core.loadExtScript("ext:deno_node/fs.ts");
const { existsSync } = fs;
fs.existsSync = function (path) {
  try {
    return existsSync(path);
  } catch {
    return false;
  }
};
wrap(fs);
