// Errors as the Runtime API carries them, and the runtime's own error names.
// Handlers may have replaced every global by now: only primordials are used.
import { core, primordials } from "ext:core/mod.js";

const {
  ArrayPrototypeJoin,
  ArrayPrototypePush,
  Error,
  ErrorPrototype,
  JSONStringify,
  ObjectDefineProperty,
  ObjectPrototypeIsPrototypeOf,
  ObjectSetPrototypeOf,
  String,
  StringPrototypeIndexOf,
  StringPrototypeSlice,
} = primordials;

/** The parts of `text` between `separator`s. The array has no prototype: JSON looks for `toJSON` there. */
export function split(text, separator) {
  const parts = ObjectSetPrototypeOf([], null);
  let from = 0;
  for (;;) {
    const at = StringPrototypeIndexOf(text, separator, from);
    if (at === -1) break;
    ArrayPrototypePush(parts, StringPrototypeSlice(text, from, at));
    from = at + 1;
  }
  ArrayPrototypePush(parts, StringPrototypeSlice(text, from));
  return parts;
}

/** `text` with every character `from` replaced. */
export function replaceAll(text, from, to) {
  return StringPrototypeIndexOf(text, from) === -1 ? text : ArrayPrototypeJoin(split(text, from), to);
}

const escapeDelete = (text) => replaceAll(String(text), "\x7F", "%7F");

/** Whether `value` is an error, whatever its class says of itself. */
export function isNativeError(value) {
  return core.isNativeError(value) || (typeof value === "object" && value !== null &&
    ObjectPrototypeIsPrototypeOf(ErrorPrototype, value));
}

function isError(value, duckTyped) {
  if (isNativeError(value)) return true;
  return duckTyped && value !== null && typeof value === "object" && typeof value.name === "string" &&
    typeof value.message === "string" && typeof value.stack === "string";
}

/** `{errorType, errorMessage, trace}` as JSON. */
export function errorPayload(error, duckTyped) {
  try {
    if (isError(error, duckTyped)) {
      return JSONStringify({
        __proto__: null,
        errorType: escapeDelete(error.name),
        errorMessage: escapeDelete(error.message),
        trace: split(escapeDelete(error.stack ?? ""), "\n"),
      });
    }
    return JSONStringify({
      __proto__: null,
      errorType: typeof error,
      errorMessage: String(error),
      trace: ObjectSetPrototypeOf([], null),
    });
  } catch {
    return JSONStringify({
      __proto__: null,
      errorType: "handled",
      errorMessage: "callback called with Error argument, but there was a problem while retrieving one or more of " +
        "its message, name, and stack",
      trace: ObjectSetPrototypeOf([], null),
    });
  }
}

/** An error of the runtime itself, named `Runtime.<name>`; `place` comes first in its stack. */
export function runtimeError(name, message, cause, place = "") {
  const error = new Error(message);
  own(error, "name", `Runtime.${name}`);
  let below = "";
  if (isNativeError(cause)) {
    const stack = String(cause.stack);
    const end = StringPrototypeIndexOf(stack, "\n");
    if (end !== -1) below = StringPrototypeSlice(stack, end);
  }
  const at = place === "" ? "" : `\n    at ${place}`;
  own(error, "stack", `Runtime.${name}: ${message}${at}${below}`);
  return error;
}

function own(object, key, value) {
  ObjectDefineProperty(object, key, { __proto__: null, value, configurable: true, writable: true, enumerable: false });
}
