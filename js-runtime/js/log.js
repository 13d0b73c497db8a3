// What `console` and the standard streams write: Lambda's text lines. Lines are
// written while handlers run, which may have replaced every global.
import { core, primordials } from "ext:core/mod.js";
import { op_selvedge_log } from "ext:core/ops";
import { isNativeError, replaceAll, split } from "ext:runtime/errors_payload.js";

const {
  Date,
  DatePrototypeToISOString,
  FunctionPrototypeBind,
  JSONStringify,
  ObjectAssign,
  ObjectDefineProperty,
  ObjectEntries,
  ObjectHasOwn,
  ObjectKeys,
  ObjectSetPrototypeOf,
  ReflectApply,
  String,
  StringPrototypeIndexOf,
  StringPrototypeSlice,
} = primordials;

let requestId = "undefined";
let format;

/** Sets the request id that lines carry from now on. */
export function setRequestId(id) {
  requestId = id;
}

/** One line in Lambda's text format; newlines inside become carriage returns. */
export function writeLine(level, text) {
  const line = `${DatePrototypeToISOString(new Date())}\t${requestId}\t${level}\t${text}`;
  op_selvedge_log(replaceAll(line, "\n", "\r"));
}

/** An error, with its own properties and its stack, as Lambda logs it. */
export function writeError(title, error) {
  let shown;
  try {
    shown = JSONStringify(describe(error), (_key, value) => typeof value === "bigint" ? `${value}` : value);
  } catch {
    shown = JSONStringify(plain(error));
  }
  writeLine("ERROR", `${title} \t${shown}`);
}

function describe(error) {
  if (!isNativeError(error)) return plain(error);
  const { name, message, code, stack, ...own } = error;
  const shown = { __proto__: null, errorType: error.name, errorMessage: error.message };
  if (error.code !== undefined) shown.code = error.code;
  ObjectAssign(shown, own);
  shown.stack = split(String(error.stack), "\n");
  return shown;
}

function plain(error) {
  let errorMessage;
  try {
    errorMessage = String(error);
  } catch {
    errorMessage = "what was thrown cannot be shown";
  }
  return { __proto__: null, errorType: typeof error, errorMessage, stack: ObjectSetPrototypeOf([], null) };
}

let partial = "";

/** Text written to a standard stream: whole lines go out, the rest waits. */
export function writeRaw(text) {
  let rest = partial + text;
  for (;;) {
    const end = StringPrototypeIndexOf(rest, "\n");
    if (end === -1) break;
    op_selvedge_log(StringPrototypeSlice(rest, 0, end));
    rest = StringPrototypeSlice(rest, end + 1);
  }
  partial = rest;
}

/** Sends what waits for its newline. */
export function flushRaw() {
  if (partial !== "") op_selvedge_log(partial);
  partial = "";
}

/** Puts Lambda's console in place. Runs before any handler is loaded. */
export function installConsole() {
  ({ format } = core.loadExtScript("ext:deno_node/internal/util/inspect.mjs"));
  const { Console } = core.loadExtScript("ext:deno_web/01_console.js");
  const console = new Console((text) => writeRaw(text));
  const levels = { log: "INFO", info: "INFO", warn: "WARN", error: "ERROR", debug: "DEBUG", trace: "TRACE", fatal: "FATAL" };
  for (const [method, level] of ObjectEntries(levels)) {
    console[method] = { [method]: (...args) => writeLine(level, ReflectApply(format, undefined, args)) }[method];
  }
  ObjectDefineProperty(globalThis, "console", { value: console, writable: true, enumerable: false, configurable: true });
}

// Calls V8's own method, which tells debuggers, and then another one, from the frame that called it.
const { callConsole, v8Console } = core;

/** Has debuggers, too, see what `console` writes. Runs before any handler is loaded. */
export function showConsole() {
  const { console } = globalThis;
  const methods = ObjectKeys(v8Console);
  for (let index = 0; index < methods.length; index++) {
    const name = methods[index];
    if (!ObjectHasOwn(console, name)) continue;
    const shown = FunctionPrototypeBind(callConsole, console, v8Console[name], console[name]);
    console[name] = ObjectDefineProperty(shown, "name", { __proto__: null, value: name });
  }
}

/** Sends `process.stdout` and `process.stderr` to the log. */
export function installStreams(process, Writable) {
  for (const [name, fd] of [["stdout", 1], ["stderr", 2]]) {
    let stream;
    ObjectDefineProperty(process, name, {
      __proto__: null,
      configurable: true,
      enumerable: true,
      get() {
        stream ??= ObjectAssign(
          new Writable({ decodeStrings: false, write(chunk, _encoding, done) { writeRaw(String(chunk)); done(); } }),
          { fd, isTTY: false, _type: "pipe" },
        );
        return stream;
      },
    });
  }
}
