// Entry of the engine's own code: what is set up while the snapshot is taken,
// and the four functions the engine calls.
import { core, internals, primordials } from "ext:core/mod.js";
import { installCloudfront } from "ext:runtime/key_values.js";
import { installTmp, setTmpDir } from "ext:runtime/tmp.js";
import { op_selvedge_arch, op_selvedge_exit } from "ext:core/ops";
import { windowOrWorkerGlobalScope } from "ext:runtime/98_global_scope_shared.js";
import { namespace, setVariable } from "ext:runtime/namespace.js";
import { drained, EXCEPTION, fatal, invoke, REJECTION, rehearse } from "ext:runtime/invocation.js";
import { afterRestore, keepProcess, load } from "ext:runtime/loading.js";
import { installConsole, installStreams } from "ext:runtime/log.js";
import { flushPool, install as installRandom, keepPool, reseed } from "ext:runtime/randomness.js";
import { installRefusals } from "ext:runtime/refusals.js";
import { runtimeError } from "ext:runtime/errors_payload.js";
import { installTypeScript } from "ext:runtime/typescript.js";
// In the start-up file whole: a built-in that another one loads there by name would not be recorded.
import "node:process";
import "node:buffer";
import "node:timers";
import "node:async_hooks";
import "node:stream";
import "node:stream/promises";
import "node:fs";
import "ext:deno_node/internal/fs/promises.ts";
import "ext:deno_node/internal/fs/stat_utils.ts";
import "ext:deno_node/internal/fs/streams.mjs";
import "ext:deno_node/_fs/_fs_copy.ts";
import "ext:deno_node/_fs/_fs_dir.ts";
import "ext:deno_node/_fs/_fs_exists.ts";
import "ext:deno_node/_fs/_fs_lutimes.ts";
import "ext:deno_node/_fs/_fs_read.ts";
import "ext:deno_node/_fs/_fs_readdir.ts";
import "ext:deno_node/internal/streams/duplexify.js";
import "ext:deno_node/internal/streams/fast-utf8-stream.js";
import "ext:deno_node/internal/streams/from.js";
import "ext:deno_node/internal/streams/lazy_transform.js";
import "node:net";
import "node:tty";
import "node:tls";
import "node:os";
import "node:constants";
import "node:assert";
import "node:assert/strict";
import "node:_http_agent";
import "node:_http_client";
import "node:_http_common";
import "node:_http_incoming";
import "node:_http_outgoing";
import "node:_http_server";
import "node:http";
import "node:https";
import "node:module";
import "node:cloudfront";

const event = core.loadExtScript("ext:deno_web/02_event.js");
const { errors } = core.loadExtScript("ext:runtime/01_errors.js");
const { DOMException, QuotaExceededError } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const performance = core.loadExtScript("ext:deno_web/15_performance.js");
const { setNoColorFns } = core.loadExtScript("ext:deno_web/01_console.js");
const { SymbolMetadata } = core.loadExtScript("ext:deno_web/00_infra.js");

setNoColorFns(() => true, () => true);
Object.defineProperties(Symbol, {
  dispose: { value: primordials.SymbolDispose, enumerable: false, writable: false, configurable: false },
  metadata: { value: SymbolMetadata, enumerable: false, writable: false, configurable: false },
});

const coreClasses = ["BadResource", "Interrupted", "NotCapable"];
for (const [name, ErrorClass] of Object.entries(errors)) {
  if (!coreClasses.includes(name)) core.registerErrorClass(name, ErrorClass);
}
for (const name of ["OperationError", "NotSupportedError", "NetworkError", "AbortError", "InvalidCharacterError",
  "DataError", "InvalidStateError", "SyntaxError", "IndexSizeError", "TypeMismatchError", "InvalidAccessError"]) {
  core.registerErrorBuilder(`DOMException${name}`, (message) => new DOMException(message, name));
}
core.registerErrorBuilder("DOMExceptionQuotaExceededError", (message) => new QuotaExceededError(message));

internals.isFromUnconfiguredRuntime = () => false;
internals.log = () => {};
internals.core = core;
internals.importFile = (file) => import(new URL(`file://${encodeURI(file).replaceAll("?", "%3F").replaceAll("#", "%23")}`).href);

core.defineGlobalProperties(globalThis, windowOrWorkerGlobalScope);
const { brand } = core.loadExtScript("ext:deno_webidl/00_webidl.js");
Object.defineProperty(globalThis, brand, { value: brand, enumerable: false, configurable: true, writable: true });
event.setEventTargetData(globalThis);
event.saveGlobalThisReference(globalThis);

core.setUnhandledPromiseRejectionHandler((_promise, reason) => {
  let message;
  try {
    message = primordials.String(reason);
  } catch {
    message = "what was thrown cannot be shown";
  }
  const error = runtimeError("UnhandledPromiseRejection", message, reason);
  error.reason = reason;
  fatal(REJECTION, "Unhandled Promise Rejection", error);
  return true;
});

const startNode = globalThis.nodeBootstrap;
delete globalThis.nodeBootstrap;

const PRELOADED = ["assert", "async_hooks", "child_process", "cluster", "crypto", "dgram", "diagnostics_channel", "dns",
  "events", "fs", "fs/promises", "http", "http2", "https", "net", "os", "path", "perf_hooks", "querystring", "readline",
  "stream", "stream/promises", "stream/web", "string_decoder", "timers/promises", "tls", "tty", "url", "util",
  "worker_threads", "zlib"];
const PRELOADED_SCRIPTS = ["ext:deno_fetch/26_fetch.js", "ext:deno_web/02_structured_clone.js",
  "ext:deno_web/08_text_encoding.js", "ext:deno_web/05_base64.js"];

let createRequire;

globalThis.__selvedge = {
  /** Everything that needs no user code, once per process, before any fork. */
  bootstrap() {
    const { toHex, setFromHex } = Uint8Array.prototype;
    internals.uint8ArrayToHex = typeof toHex === "function" ? primordials.uncurryThis(toHex) : undefined;
    internals.uint8ArraySetFromHex = typeof setFromHex === "function" ? primordials.uncurryThis(setFromHex) : undefined;
    performance.setTimeOrigin();
    core.setReportExceptionCallback((error) => fatal(EXCEPTION, "Uncaught Exception", error));
    core.setWasmStreamingCallback((source, rid) =>
      core.loadExtScript("ext:deno_fetch/26_fetch.js").handleWasmStreaming(source, rid)
    );
    core.setBuildInfo(`${op_selvedge_arch()}-unknown-linux-gnu`);
    namespace.build = core.build;
    Object.setPrototypeOf(globalThis, Object.create(event.EventTarget.prototype));
    const args = {
      usesLocalNodeModulesDir: true, argv0: "node", runningOnMainThread: true, nodeDebug: "",
      denoArgs: [], denoVersion: namespace.version,
    };
    if (startNode) startNode(args);
    else internals.__nodeBootstrapArgs = args;
    createRequire = core.createLazyLoader("node:module")().default.createRequire;
    const require = createRequire("/");
    for (const name of PRELOADED) require(`node:${name}`);
    for (const specifier of PRELOADED_SCRIPTS) core.loadExtScript(specifier);
    installRefusals(require);
    installTmp(require("node:fs/promises"));
    installTypeScript(require("node:module"));
    installCloudfront(require("node:module"));
    installConsole();
    installStreams(globalThis.process, require("node:stream").Writable);
    globalThis.process.reallyExit = (code) => op_selvedge_exit(code || 0);
    installRandom();
    keepPool();
    keepProcess();
    hide();
    // Compiled once, here, instead of in every copy.
    flushPool();
    rehearse();
    afterRestore();
  },
  load: (plan) => load(plan, createRequire),
  /** After a fork: nothing that copies must not share stays shared. */
  resume(tmpDir) {
    reseed();
    flushPool();
    performance.setTimeOrigin();
    setVariable("TMPDIR", tmpDir);
    setTmpDir(tmpDir);
    afterRestore();
  },
  invoke,
  drained,
};

function hide() {
  delete namespace.core;
  for (const name of ["Deno", "__bootstrap", "bootstrap", "Temporal"]) delete globalThis[name];
  delete Date.prototype.toTemporalInstant;
  delete Intl.v8BreakIterator;
}
