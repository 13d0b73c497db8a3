import { pbkdf2Sync } from "node:crypto";

export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  return pbkdf2Sync("a", "b", 2 ** 31 - 1, 64, "sha512");
};
