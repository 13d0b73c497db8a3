// TypeScript modules for `require`: their extensions, and names that lead to them
// from other TypeScript modules. `import` does the same in the module loader.
import { primordials } from "ext:core/mod.js";

const { ReflectApply, StringPrototypeEndsWith, StringPrototypeSlice } = primordials;

const isDeclaration = (file) =>
  StringPrototypeEndsWith(file, ".d.ts") || StringPrototypeEndsWith(file, ".d.mts") ||
  StringPrototypeEndsWith(file, ".d.cts");

/** Whether the file is a TypeScript module. */
export const isTypeScript = (file) =>
  (StringPrototypeEndsWith(file, ".ts") || StringPrototypeEndsWith(file, ".mts") ||
    StringPrototypeEndsWith(file, ".cts")) && !isDeclaration(file);

/** `./a.ts` for `./a.js`, as a compiler would have it; nothing for another name. */
function meant(request) {
  for (const kind of ["js", "mjs", "cjs"]) {
    if (StringPrototypeEndsWith(request, `.${kind}`)) {
      return `${StringPrototypeSlice(request, 0, -kind.length)}${kind === "js" ? "ts" : kind === "mjs" ? "mts" : "cts"}`;
    }
  }
}

/** Runs before there is user code. */
export function installTypeScript(Module) {
  // After those of JavaScript: what a compiler left beside a source comes first.
  for (const extension of [".ts", ".mts", ".cts"]) Module._extensions[extension] = Module._extensions[".js"];
  const findPath = Module._findPath;
  Module._findPath = function _findPath(request, paths, isMain, parentPath) {
    const found = ReflectApply(findPath, this, [request, paths, isMain, parentPath]);
    if (found || typeof parentPath !== "string" || !isTypeScript(parentPath)) return found;
    const source = meant(request);
    return source === undefined ? found : ReflectApply(findPath, this, [source, paths, isMain, parentPath]);
  };
}
