const again = () => setImmediate(again);

export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  return new Promise(again);
};
