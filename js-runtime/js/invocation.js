// Runs the handler once, with the semantics of Lambda's two Node.js runtime
// clients: callbacks (up to Node.js 22) and promises (all).
import { op_selvedge_settle } from "ext:core/ops";
import { errorPayload } from "ext:runtime/errors_payload.js";
import { flushRaw, setRequestId, writeError } from "ext:runtime/log.js";

export const RESULT = 0, ERROR = 1, REJECTION = 2, EXCEPTION = 3, LOADED = 4;

let handler;
let fixed;
let callbacks = true;
let current;

/** Sets the handler and the part of its context that never changes. */
export function setHandler(loaded, context, callbackStyle) {
  handler = loaded;
  const present = Object.entries(context).map(([key, value]) => [key, value ?? undefined]);
  if (!callbackStyle) present.push(["xRayTraceId", undefined]);
  fixed = Object.fromEntries(present);
  callbacks = callbackStyle;
}

/** Ends an invocation with a result. */
function succeed(invocation, result) {
  if (invocation.settled) return;
  let text;
  try {
    text = JSON.stringify(result === undefined ? null : result) ?? "null";
  } catch {
    const error = new Error("Unable to stringify response body");
    if (!callbacks) error.name = "Runtime.JSONStringifyError";
    return fail(invocation, error);
  }
  invocation.settled = true;
  flushRaw();
  op_selvedge_settle(RESULT, text);
}

/** Ends an invocation with an error. */
function fail(invocation, error) {
  if (invocation.settled) return;
  invocation.settled = true;
  writeError("Invoke Error", error);
  flushRaw();
  op_selvedge_settle(ERROR, errorPayload(error, callbacks));
}

const isThenable = (value) => value !== null && value !== undefined && typeof value.then === "function";

/** Starts the handler; it ends through `op_selvedge_settle`. */
export function invoke(id, deadline, text) {
  setRequestId(id);
  const invocation = { settled: false, called: false, waits: true, result: undefined };
  current = invocation;
  try {
    const event = JSON.parse(text);
    if (callbacks) runWithCallback(invocation, event, id, deadline);
    else runWithPromise(invocation, event, id, deadline);
  } catch (error) {
    if (!invocation.called) fail(invocation, error);
  }
}

/** Runs every step of an ordinary invocation, so that its code is compiled before processes are copied. */
export function rehearse() {
  for (const style of [true, false]) {
    setHandler(async (event) => event, {}, style);
    invoke("00000000-0000-0000-0000-000000000000", 0, "{}");
  }
  setRequestId("undefined");
  handler = fixed = current = undefined;
  callbacks = true;
}

function runWithPromise(invocation, event, id, deadline) {
  const returned = handler(event, contextOf(id, deadline));
  if (!isThenable(returned)) return succeed(invocation, returned);
  Promise.resolve(returned).then((result) => succeed(invocation, result), (error) => fail(invocation, error));
}

function runWithCallback(invocation, event, id, deadline) {
  const once = (action) => (...args) => {
    if (invocation.called) return;
    invocation.called = true;
    action(...args);
  };
  const present = (error) => error !== undefined && error !== null;
  const done = once((error, result) => present(error) ? fail(invocation, error) : succeed(invocation, result));
  const callback = once((error, result) => {
    if (present(error)) return fail(invocation, error);
    if (!invocation.waits) return succeed(invocation, result);
    invocation.result = result;
  });
  const context = contextOf(id, deadline);
  Object.defineProperty(context, "callbackWaitsForEmptyEventLoop", {
    get: () => invocation.waits,
    set: (value) => { invocation.waits = value; },
    enumerable: true,
    configurable: true,
  });
  context.succeed = (result) => done(null, result);
  context.fail = (error) => done(present(error) ? error : "handled");
  context.done = done;
  const returned = handler(event, context, callback);
  if (!isThenable(returned)) return;
  returned.then((result) => done(null, result), (error) => done(present(error) ? error : "handled"));
}

function contextOf(id, deadline) {
  return {
    ...fixed,
    awsRequestId: id,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

/** The event loop is empty: what a callback left waiting is the result, else `null`. */
export function drained() {
  if (current !== undefined && !current.settled) succeed(current, current.result);
}

/** An error that no handler code caught: the environment ends after it is reported. */
export function fatal(kind, title, error) {
  if (current !== undefined) current.settled = true;
  writeError(title, error);
  flushRaw();
  op_selvedge_settle(kind, errorPayload(error, callbacks));
}
