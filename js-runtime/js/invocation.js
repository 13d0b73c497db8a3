// Runs the handler once, with the semantics of Lambda's two Node.js runtime
// clients: callbacks (up to Node.js 22) and promises (all). A handler may have
// replaced every global in an earlier invocation: only primordials are used, and
// nothing of the runtime's own is handed to a function that it could replace.
import { core, primordials } from "ext:core/mod.js";
import { op_selvedge_settle } from "ext:core/ops";
import { errorPayload } from "ext:runtime/errors_payload.js";
import { flushRaw, setRequestId, writeError } from "ext:runtime/log.js";

const {
  DateNow,
  Error,
  JSONParse,
  JSONStringify,
  ObjectDefineProperty,
  PromisePrototypeThen,
  PromiseResolve,
} = primordials;

export const RESULT = 0, ERROR = 1, REJECTION = 2, EXCEPTION = 3, LOADED = 4;

let handler;
let fixed;
let callbacks = true;
let current;

/** Sets the handler and the part of its context that never changes. */
export function setHandler(loaded, context, callbackStyle) {
  handler = loaded;
  fixed = context;
  callbacks = callbackStyle;
}

/** Ends an invocation with a result. */
function succeed(invocation, result) {
  if (invocation.settled) return;
  let text;
  try {
    text = JSONStringify(result === undefined ? null : result) ?? "null";
  } catch {
    const error = new Error("Unable to stringify response body");
    if (!callbacks) ObjectDefineProperty(error, "name", { __proto__: null, value: "Runtime.JSONStringifyError" });
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

const present = (error) => error !== undefined && error !== null;

const isThenable = (value) => value !== null && value !== undefined && typeof value.then === "function";

/** Starts the handler; it ends through `op_selvedge_settle`. */
export function invoke(id, deadline, text) {
  setRequestId(id);
  // All that is read of it is its own: a prototype of null would make a slow object of it.
  const invocation = { settled: false, called: false, waits: true, result: undefined };
  current = invocation;
  try {
    const event = JSONParse(text);
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

/** Waits for what a handler returned: a native promise is not asked for its `then`. */
function settled(returned, fulfilled, rejected) {
  PromisePrototypeThen(core.isPromise(returned) ? returned : PromiseResolve(returned), fulfilled, rejected);
}

function runWithPromise(invocation, event, id, deadline) {
  const returned = handler(event, promiseContext(id, deadline));
  if (!core.isPromise(returned) && !isThenable(returned)) return succeed(invocation, returned);
  settled(returned, (result) => succeed(invocation, result), (error) => fail(invocation, error));
}

function runWithCallback(invocation, event, id, deadline) {
  const once = (action) => (first, second) => {
    if (invocation.called) return;
    invocation.called = true;
    action(first, second);
  };
  const done = once((error, result) => present(error) ? fail(invocation, error) : succeed(invocation, result));
  const callback = once((error, result) => {
    if (present(error)) return fail(invocation, error);
    if (!invocation.waits) return succeed(invocation, result);
    invocation.result = result;
  });
  const context = callbackContext(invocation, id, deadline, done);
  const returned = handler(event, context, callback);
  const resolved = (result) => done(null, result);
  const rejected = (error) => done(present(error) ? error : "handled");
  if (core.isPromise(returned)) settled(returned, resolved, rejected);
  else if (isThenable(returned)) returned.then(resolved, rejected);
}

// Literals of one shape each, which V8 makes without looking at a key: properties are defined and not
// assigned, so that no inherited setter of the handler's gets them. Their order is what handlers see.

function callbackContext(invocation, id, deadline, done) {
  return {
    functionName: fixed.functionName,
    functionVersion: fixed.functionVersion,
    invokedFunctionArn: fixed.invokedFunctionArn,
    memoryLimitInMB: fixed.memoryLimitInMB,
    logGroupName: fixed.logGroupName,
    logStreamName: fixed.logStreamName,
    clientContext: undefined,
    identity: undefined,
    tenantId: undefined,
    awsRequestId: id,
    getRemainingTimeInMillis: () => deadline - DateNow(),
    succeed: (result) => done(null, result),
    fail: (error) => done(present(error) ? error : "handled"),
    done,
    get callbackWaitsForEmptyEventLoop() {
      return invocation.waits;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      invocation.waits = value;
    },
  };
}

function promiseContext(id, deadline) {
  return {
    functionName: fixed.functionName,
    functionVersion: fixed.functionVersion,
    invokedFunctionArn: fixed.invokedFunctionArn,
    memoryLimitInMB: fixed.memoryLimitInMB,
    logGroupName: fixed.logGroupName,
    logStreamName: fixed.logStreamName,
    clientContext: undefined,
    identity: undefined,
    tenantId: undefined,
    xRayTraceId: undefined,
    awsRequestId: id,
    getRemainingTimeInMillis: () => deadline - DateNow(),
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
