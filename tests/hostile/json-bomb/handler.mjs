export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  const all = [];
  for (;;) all.push(JSON.parse(`[${"[],".repeat(1e6)}[]]`));
};
