const sleep = (cell) => Atomics.wait(cell, 0, 0);

export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  return sleep(new Int32Array(new SharedArrayBuffer(4)));
};
