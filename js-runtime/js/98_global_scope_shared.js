// The web and Node globals of a handler, each loaded when it is first used.
import { core } from "ext:core/mod.js";

const lazyModule = (specifier) => core.createLazyLoader(specifier);
const script = (specifier) => () => core.loadExtScript(specifier);

const sources = [
  [script("ext:deno_web/00_url.js"), "URL", "URLSearchParams"],
  [script("ext:deno_web/01_urlpattern.js"), "URLPattern"],
  [script("ext:deno_web/01_dom_exception.js"), "DOMException", "QuotaExceededError"],
  [script("ext:deno_web/01_broadcast_channel.js"), "BroadcastChannel"],
  [script("ext:deno_web/02_event.js"), "CloseEvent", "CustomEvent", "ErrorEvent", "Event", "EventTarget",
    "MessageEvent", "ProgressEvent", "PromiseRejectionEvent"],
  [script("ext:deno_web/02_structured_clone.js"), "structuredClone"],
  [script("ext:deno_web/03_abort_signal.js"), "AbortController", "AbortSignal"],
  [script("ext:deno_web/05_base64.js"), "atob", "btoa"],
  [script("ext:deno_web/06_streams.js"), "ByteLengthQueuingStrategy", "CountQueuingStrategy", "ReadableStream",
    "ReadableByteStreamController", "ReadableStreamBYOBReader", "ReadableStreamBYOBRequest",
    "ReadableStreamDefaultController", "ReadableStreamDefaultReader", "TransformStream",
    "TransformStreamDefaultController", "WritableStream", "WritableStreamDefaultController",
    "WritableStreamDefaultWriter"],
  [script("ext:deno_web/08_text_encoding.js"), "TextDecoder", "TextDecoderStream", "TextEncoder", "TextEncoderStream"],
  [script("ext:deno_web/09_file.js"), "Blob", "File"],
  [script("ext:deno_web/13_message_port.js"), "MessageChannel", "MessagePort"],
  [script("ext:deno_web/14_compression.js"), "CompressionStream", "DecompressionStream"],
  [script("ext:deno_web/15_performance.js"), "Performance", "PerformanceEntry", "PerformanceMark",
    "PerformanceMeasure", "PerformanceObserver", "PerformanceObserverEntryList", "performance"],
  [script("ext:deno_fetch/20_headers.js"), "Headers"],
  [script("ext:deno_fetch/21_formdata.js"), "FormData"],
  [script("ext:deno_fetch/23_request.js"), "Request"],
  [script("ext:deno_fetch/23_response.js"), "Response"],
  [script("ext:deno_fetch/26_fetch.js"), "fetch"],
  [script("ext:deno_crypto/00_crypto.js"), "Crypto", "CryptoKey", "SubtleCrypto", "crypto"],
  [script("ext:deno_node/timers.ts"), "setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate",
    "clearImmediate"],
  [script("ext:deno_node/internal/buffer.mjs"), "Buffer"],
];

const windowOrWorkerGlobalScope = { __proto__: null };
for (const [load, ...names] of sources) {
  for (const name of names) {
    windowOrWorkerGlobalScope[name] = core.propNonEnumerableLazyLoaded((exports) => exports[name], load);
  }
}
windowOrWorkerGlobalScope.process = core.propNonEnumerableLazyLoaded(
  (module) => module.default,
  lazyModule("node:process"),
);
windowOrWorkerGlobalScope.console = core.propNonEnumerableLazyLoaded(
  (module) => new module.Console((text, level) => core.print(text, level > 1)),
  script("ext:deno_web/01_console.js"),
);
windowOrWorkerGlobalScope.global = core.propNonEnumerable(globalThis);
windowOrWorkerGlobalScope.queueMicrotask = core.propNonEnumerable(globalThis.queueMicrotask);
windowOrWorkerGlobalScope.reportError = core.propNonEnumerableLazyLoaded(
  (exports) => exports.reportError,
  script("ext:deno_web/02_event.js"),
);

export { windowOrWorkerGlobalScope };
