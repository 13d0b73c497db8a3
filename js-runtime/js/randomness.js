// `Math.random` of our own: V8's cannot be reseeded, and copies of a process
// must not repeat each other. sfc32, seeded from the kernel.
import { internals, primordials } from "ext:core/mod.js";
import { op_selvedge_seed } from "ext:core/ops";

const { ObjectDefineProperty, Uint32Array } = primordials;

let a = 0, b = 0, c = 0, counter = 1;

function next() {
  const sum = (((a + b) | 0) + counter) | 0;
  counter = (counter + 1) | 0;
  a = b ^ (b >>> 9);
  b = (c + (c << 3)) | 0;
  c = (c << 21) | (c >>> 11);
  c = (c + sum) | 0;
  return sum >>> 0;
}

/** Starts a new sequence. */
export function reseed() {
  const seed = new Uint32Array(3);
  op_selvedge_seed(seed);
  a = seed[0];
  b = seed[1];
  c = seed[2];
  counter = 1;
  for (let round = 0; round < 15; round++) next();
}

/** Puts the generator in place of V8's. */
export function install() {
  reseed();
  ObjectDefineProperty(Math, "random", {
    value: { random: () => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992 }.random,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

let forgetUuids;

/** Takes what `transpile.rs` adds to the built-in generator out of everybody's reach. */
export function keepPool() {
  forgetUuids = internals.forgetUuids;
  delete internals.forgetUuids;
}

/** Empties the pool of identifiers that the built-in generator fills ahead of use. */
export function flushPool() {
  forgetUuids();
}
