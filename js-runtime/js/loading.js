// The init phase: variables, the handler's module, its export, and the hooks
// around the moment in which a process is copied. From the moment the module
// runs, every global may be another one.
import { core, internals, primordials } from "ext:core/mod.js";
import { op_selvedge_fault, op_selvedge_place, op_selvedge_settle } from "ext:core/ops";
import { errorPayload, runtimeError, split } from "ext:runtime/errors_payload.js";
import { ERROR, LOADED, setHandler } from "ext:runtime/invocation.js";
import { flushRaw, showConsole, writeError } from "ext:runtime/log.js";
import { setPackageDir, setTmpDir } from "ext:runtime/tmp.js";
import { namespace, setVariables } from "ext:runtime/namespace.js";
import { isTypeScript } from "ext:runtime/typescript.js";

const {
  JSONParse,
  ObjectDefineProperty,
  ObjectPrototypeIsPrototypeOf,
  PromisePrototypeThen,
  ReflectApply,
  String,
  StringPrototypeEndsWith,
  StringPrototypeSlice,
  SyntaxErrorPrototype,
} = primordials;

let callbackStyle = true;

/** Loads the function a plan describes; ends through `op_selvedge_settle`. */
export function load(planText, createRequire) {
  const plan = JSONParse(planText);
  callbackStyle = plan.callbacks;
  setVariables(plan.variables);
  setTmpDir(plan.variables.TMPDIR);
  setPackageDir(plan.codeDir);
  setVersion(plan.nodeVersion);
  if (plan.inspected) showConsole();
  PromisePrototypeThen(
    finish(plan, createRequire),
    () => {
      flushRaw();
      // Says whether copies have hooks to run.
      op_selvedge_settle(LOADED, hooksOf("afterRestore").length > 0 ? "afterRestore" : "");
    },
    (error) => {
      const title = error?.name === "Runtime.UnhandledPromiseRejection" ? "Unhandled Promise Rejection" : "Uncaught Exception";
      writeError(title, error);
      flushRaw();
      op_selvedge_settle(ERROR, errorPayload(error, plan.callbacks));
    },
  );
}

async function finish(plan, createRequire) {
  const exports = await moduleOf(plan, createRequire);
  const handler = exportOf(exports, plan);
  if (!plan.callbacks && handler.length >= 3) {
    throw runtimeError(
      "CallbackHandlerDeprecated",
      "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. " +
        "You need to modify this function to use a supported handler signature to use Node.js 24 or later.",
    );
  }
  setHandler(handler, plan.context, plan.callbacks);
  // Nothing is copied from a process that is an environment already.
  if (plan.copied) {
    const hooks = hooksOf("beforeSnapshot");
    for (let index = hooks.length - 1; index >= 0; index--) await ReflectApply(hooks[index], emitter, []);
  }
}

let emitter;
let rawListeners;

/** Keeps the process object, on which user code registers hooks, from before there is user code. */
export function keepProcess() {
  emitter = globalThis.process;
  ({ rawListeners } = emitter);
}

const hooksOf = (name) => ReflectApply(rawListeners, emitter, [name]);

async function run(hooks) {
  for (let index = 0; index < hooks.length; index++) await ReflectApply(hooks[index], emitter, []);
}

/** In a copy, before its first invocation; ends through `op_selvedge_settle`. */
export function afterRestore() {
  const hooks = hooksOf("afterRestore");
  if (hooks.length === 0) return op_selvedge_settle(LOADED, "");
  PromisePrototypeThen(
    run(hooks),
    () => {
      flushRaw();
      op_selvedge_settle(LOADED, "");
    },
    (error) => {
      writeError("Uncaught Exception", error);
      flushRaw();
      op_selvedge_settle(ERROR, errorPayload(error, callbackStyle));
    },
  );
}

async function moduleOf(plan, createRequire) {
  try {
    const require = createRequire(`${plan.moduleRoot}/`);
    const file = plan.module ?? require.resolve(plan.moduleName, { paths: [plan.codeDir, plan.moduleRoot] });
    namespace.mainModule = core.toFileUrl?.(file) ?? `file://${file}`;
    if (plan.esm || isImported(file)) return await internals.importFile(file);
    return require(file);
  } catch (error) {
    const fault = op_selvedge_fault(String(error?.message));
    if (fault !== "") throw runtimeError("UserCodeSyntaxError", `SyntaxError: ${error.message}`, error, fault);
    if (isSyntaxError(error)) throw syntaxError(error);
    if (error?.code === "MODULE_NOT_FOUND") throw runtimeError("ImportModuleError", String(error), error);
    throw error;
  }
}

const isImported = (file) => StringPrototypeEndsWith(file, ".mjs") || isTypeScript(file);

/** JavaScript that does not parse; the place goes where a stack trace has its first. */
function syntaxError(error) {
  let text = String(error);
  const place = op_selvedge_place(error, text);
  const end = ` at ${split(place, "\n")[0]}`;
  if (place !== "" && StringPrototypeEndsWith(text, end)) text = StringPrototypeSlice(text, 0, -end.length);
  return runtimeError("UserCodeSyntaxError", text, error, place);
}

const isSyntaxError = (error) =>
  typeof error === "object" && error !== null && ObjectPrototypeIsPrototypeOf(SyntaxErrorPrototype, error);

function exportOf(exports, plan) {
  const find = (start) => {
    let value = start;
    for (let index = 0; index < plan.properties.length; index++) value = value?.[plan.properties[index]];
    return value;
  };
  let handler = find(exports);
  if (handler === undefined && !plan.callbacks) handler = find(exports?.default);
  if (handler === undefined && plan.esm) handler = find(exports?.default);
  if (handler === undefined || handler === null) {
    throw runtimeError("HandlerNotFound", `${plan.handler} is undefined or not exported`);
  }
  if (typeof handler !== "function") throw runtimeError("HandlerNotFound", `${plan.handler} is not a function`);
  return handler;
}

function setVersion(version) {
  const fixed = { writable: false, enumerable: true, configurable: true };
  const { process } = globalThis;
  ObjectDefineProperty(process, "version", { value: `v${version}`, ...fixed });
  ObjectDefineProperty(process, "versions", { value: { ...process.versions, node: version }, ...fixed });
}
