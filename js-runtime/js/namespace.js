// The namespace that the built-ins' sources call `Deno`. They reach it through
// the internals object; no handler can name it.
import { core, internals, primordials } from "ext:core/mod.js";
import { op_selvedge_exit } from "ext:core/ops";

const { errors } = core.loadExtScript("ext:runtime/01_errors.js");
const os = core.loadExtScript("ext:deno_os/30_os.js");
const fs = core.loadExtScript("ext:deno_fs/30_fs.js");
const { inspect } = core.loadExtScript("ext:deno_web/01_console.js");

const { ObjectAssign, String } = primordials;

let variables = { __proto__: null };

const env = {
  get: (key) => variables[String(key)],
  set: (key, value) => { variables[String(key)] = String(value); },
  has: (key) => variables[String(key)] !== undefined,
  delete: (key) => { delete variables[String(key)]; },
  toObject: () => ({ ...variables }),
};

os.setExitHandler((code) => op_selvedge_exit(code ?? 0));

const namespace = {};
Object.defineProperties(namespace, Object.getOwnPropertyDescriptors(fs));
Object.assign(namespace, {
  errors,
  env,
  inspect,
  args: [],
  noColor: true,
  internal: Symbol("Deno.internal"),
  build: core.build,
  version: { deno: "0.0.0", v8: "", typescript: "" },
  execPath: () => "/var/lang/bin/node",
  exit: os.exit,
  uid: () => 993,
  gid: () => 990,
  hostname: () => "localhost",
  osRelease: os.osRelease,
  systemMemoryInfo: os.systemMemoryInfo,
  networkInterfaces: os.networkInterfaces,
  consoleSize: () => ({ columns: 80, rows: 24 }),
  pid: 1,
  ppid: 0,
  mainModule: undefined,
  memoryUsage: os.memoryUsage,
  addSignalListener() {},
  removeSignalListener() {},
});

internals.denoNamespace = namespace;
// Some built-ins ask for the global while they are evaluated; it is deleted before any handler is loaded.
Object.defineProperty(globalThis, "Deno", {
  value: Object.assign(namespace, { core }),
  enumerable: false,
  configurable: true,
  writable: true,
});

/** Replaces what `process.env` shows. */
export function setVariables(map) {
  variables = ObjectAssign({ __proto__: null }, map);
}

/** Adds one variable. */
export function setVariable(key, value) {
  variables[key] = value;
}

export { namespace };
