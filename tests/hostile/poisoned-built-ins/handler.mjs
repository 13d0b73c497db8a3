const caught = [];

// Every function of `owner` now throws, and tells what it was given.
function poison(owner, name) {
  const keys = Reflect.ownKeys(owner);
  const { defineProperty, getOwnPropertyDescriptor } = Object;
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index];
    const { configurable, value } = getOwnPropertyDescriptor(owner, key);
    if (!configurable || typeof value !== "function" || key === "constructor") continue;
    defineProperty(owner, key, {
      __proto__: null,
      configurable: true,
      writable: true,
      value: function () {
        caught[caught.length] = `${name}.${typeof key === "symbol" ? key.description : key}`;
        throw new Error("poisoned");
      },
    });
  }
}

export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") {
    console.log("still here");
    return { status: "200", body: caught.length === 0 ? "alive" : `reached ${caught[0]}` };
  }
  const names = ["Array", "String", "Promise", "Date", "Error", "Map", "Set", "RegExp", "Number", "Uint8Array", "Uint32Array"];
  const owners = [];
  for (let index = 0; index < names.length; index++) {
    owners[owners.length] = [globalThis[names[index]].prototype, `${names[index]}.prototype`];
    owners[owners.length] = [globalThis[names[index]], names[index]];
  }
  owners[owners.length] = [JSON, "JSON"];
  owners[owners.length] = [Math, "Math"];
  owners[owners.length] = [Object.getPrototypeOf([][Symbol.iterator]()), "ArrayIterator.prototype"];
  owners[owners.length] = [Function.prototype, "Function.prototype"];
  owners[owners.length] = [Object, "Object"];
  for (let index = 0; index < owners.length; index++) {
    poison(owners[index][0], owners[index][1]);
  }
  // Descriptors without a prototype of their own would take these for theirs.
  Object.prototype.get = Object.prototype.set = () => {};
  Object.prototype.value = "poisoned";
  return { status: "200", body: "alive" };
};
