// What `console` and the standard streams write: Lambda's text lines.
import { core } from "ext:core/mod.js";
import { op_selvedge_log } from "ext:core/ops";

let requestId = "undefined";
let format;

/** Sets the request id that lines carry from now on. */
export function setRequestId(id) {
  requestId = id;
}

/** One line in Lambda's text format; newlines inside become carriage returns. */
export function writeLine(level, text) {
  const line = `${new Date().toISOString()}\t${requestId}\t${level}\t${text}`;
  op_selvedge_log(line.replaceAll("\n", "\r"));
}

/** An error, with its own properties and its stack, as Lambda logs it. */
export function writeError(title, error) {
  let shown;
  try {
    shown = JSON.stringify(describe(error), (_key, value) => typeof value === "bigint" ? `${value}` : value);
  } catch {
    shown = JSON.stringify({ errorType: typeof error, errorMessage: String(error), stack: [] });
  }
  writeLine("ERROR", `${title} \t${shown}`);
}

function describe(error) {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), stack: [] };
  const { name, message, code, stack, ...own } = error;
  const shown = { errorType: error.name, errorMessage: error.message };
  if (error.code !== undefined) shown.code = error.code;
  Object.assign(shown, own);
  shown.stack = String(error.stack).split("\n");
  return shown;
}

let partial = "";

/** Text written to a standard stream: whole lines go out, the rest waits. */
export function writeRaw(text) {
  const lines = (partial + text).split("\n");
  partial = lines.pop();
  for (const line of lines) op_selvedge_log(line);
}

/** Sends what waits for its newline. */
export function flushRaw() {
  if (partial !== "") op_selvedge_log(partial);
  partial = "";
}

/** Puts Lambda's console in place. */
export function installConsole() {
  ({ format } = core.loadExtScript("ext:deno_node/internal/util/inspect.mjs"));
  const { Console } = core.loadExtScript("ext:deno_web/01_console.js");
  const console = new Console((text) => writeRaw(text));
  const levels = { log: "INFO", info: "INFO", warn: "WARN", error: "ERROR", debug: "DEBUG", trace: "TRACE", fatal: "FATAL" };
  for (const [method, level] of Object.entries(levels)) {
    console[method] = { [method]: (...args) => writeLine(level, format(...args)) }[method];
  }
  Object.defineProperty(globalThis, "console", { value: console, writable: true, enumerable: false, configurable: true });
}

/** Sends `process.stdout` and `process.stderr` to the log. */
export function installStreams(process, Writable) {
  for (const [name, fd] of [["stdout", 1], ["stderr", 2]]) {
    let stream;
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get() {
        stream ??= Object.assign(
          new Writable({ decodeStrings: false, write(chunk, _encoding, done) { writeRaw(String(chunk)); done(); } }),
          { fd, isTTY: false, _type: "pipe" },
        );
        return stream;
      },
    });
  }
}
