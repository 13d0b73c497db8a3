// Errors as the Runtime API carries them, and the runtime's own error names.

const escapeDelete = (text) => String(text).replaceAll("\x7F", "%7F");

function isError(value, duckTyped) {
  if (value instanceof Error || Error.isError?.(value)) return true;
  return duckTyped && value !== null && typeof value === "object" && typeof value.name === "string" &&
    typeof value.message === "string" && typeof value.stack === "string";
}

/** `{errorType, errorMessage, trace}` as JSON. */
export function errorPayload(error, duckTyped) {
  try {
    if (isError(error, duckTyped)) {
      return JSON.stringify({
        errorType: escapeDelete(error.name),
        errorMessage: escapeDelete(error.message),
        trace: escapeDelete(error.stack ?? "").split("\n"),
      });
    }
    return JSON.stringify({ errorType: typeof error, errorMessage: String(error), trace: [] });
  } catch {
    return JSON.stringify({
      errorType: "handled",
      errorMessage: "callback called with Error argument, but there was a problem while retrieving one or more of " +
        "its message, name, and stack",
      trace: [],
    });
  }
}

/** An error of the runtime itself, named `Runtime.<name>`. */
export function runtimeError(name, message, cause) {
  const error = new Error(message);
  Object.defineProperty(error, "name", { value: `Runtime.${name}`, configurable: true, writable: true });
  const below = cause instanceof Error ? String(cause.stack).split("\n").slice(1) : [];
  error.stack = [`Runtime.${name}: ${message}`, ...below].join("\n");
  return error;
}
