import fs from "node:fs";

export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  let files = 0;
  for (const directory of fs.readdirSync("/var/task/files")) {
    for (const name of fs.readdirSync(`/var/task/files/${directory}`)) {
      files += fs.statSync(`/var/task/files/${directory}/${name}`).isFile();
    }
  }
  console.log(`${files} files`);
  return { status: "200", body: "looked at" };
};
