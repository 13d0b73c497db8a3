// What `import cf from "cloudfront"` gives a handler: its function's key value
// stores, with the methods that CloudFront Functions have (AWS: "Helper methods
// for key value stores"). A value is in this process's memory already; the
// methods are promises because theirs are.
import { primordials } from "ext:core/mod.js";
import {
  op_selvedge_store,
  op_selvedge_store_find,
  op_selvedge_store_meta,
  op_selvedge_store_name,
} from "ext:core/ops";
import { Buffer } from "node:buffer";

const { Date, DatePrototypeToISOString, Error, Float64Array, JSONParse, ObjectFreeze, String, TypeError } = primordials;

const { from } = Buffer;

class KeyValueStore {
  #nth;

  constructor(nth) {
    this.#nth = nth;
    ObjectFreeze(this);
  }

  async get(key, options) {
    const format = options?.format ?? "string";
    if (format !== "string" && format !== "json" && format !== "bytes") {
      throw new TypeError(`format is ${String(format)}, it must be "string", "json" or "bytes"`);
    }
    const value = op_selvedge_store_find(this.#nth, text(key));
    if (value === null) {
      const error = new Error(`key "${key}" is not in key value store ${op_selvedge_store_name(this.#nth)}`);
      error.code = "KeyNotFound";
      throw error;
    }
    if (format === "json") return JSONParse(value);
    return format === "bytes" ? from(value) : value;
  }

  async exists(key) {
    return op_selvedge_store_find(this.#nth, text(key)) !== null;
  }

  async count() {
    return this.#read()[0];
  }

  async meta() {
    const { 0: keyCount, 1: created, 2: updated } = this.#read();
    return { creationDateTime: iso(created), lastUpdatedDateTime: iso(updated), keyCount };
  }

  #read() {
    const values = new Float64Array(3);
    op_selvedge_store_meta(this.#nth, values);
    return values;
  }
}

const iso = (milliseconds) => DatePrototypeToISOString(new Date(milliseconds));

function text(key) {
  if (typeof key !== "string") throw new TypeError(`a key is a string, not ${typeof key}`);
  return key;
}

/** The store with this name or id; the function's only one when neither is given. */
function kvs(name) {
  if (name !== undefined && typeof name !== "string") throw new TypeError("the name or id of a key value store is a string");
  return new KeyValueStore(op_selvedge_store(name ?? "", name !== undefined));
}

export const cloudfront = ObjectFreeze({ __proto__: null, kvs });

/** Lets `require("cloudfront")` find it where the function has no module of that name. */
export function installCloudfront(Module) {
  const load = Module._load;
  Module._load = function (request, parent, isMain) {
    if (request === "cloudfront" && !isFound(Module, request, parent)) return cloudfront;
    return load.call(this, request, parent, isMain);
  };
}

function isFound(Module, request, parent) {
  try {
    Module._resolveFilename(request, parent, false);
    return true;
  } catch {
    return false;
  }
}
