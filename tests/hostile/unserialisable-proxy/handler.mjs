export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  return new Proxy({}, {
    ownKeys() {
      throw new Error("on purpose");
    },
  });
};
