export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  throw new Proxy(new Error("on purpose"), {
    get() {
      throw new Error("again");
    },
    getPrototypeOf() {
      throw new Error("and again");
    },
  });
};
