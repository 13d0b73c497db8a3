export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  const all = [];
  for (let part = 0; part < 4; part++) {
    const text = String(part).repeat(2 ** 29 - 32);
    all.push(text, /x$/.test(text));
  }
};
