export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  const all = [];
  for (;;) {
    try {
      all.push(new ArrayBuffer(1 << 24));
    } catch {
      continue;
    }
  }
};
