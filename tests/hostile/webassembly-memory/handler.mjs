export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  for (;;) {
    const before = memory.grow(16) << 16;
    new Uint8Array(memory.buffer, before).fill(1);
  }
};
