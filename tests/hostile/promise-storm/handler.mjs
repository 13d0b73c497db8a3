export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  for (;;) await Promise.all(Array.from({ length: 1000 }, async (_, index) => index));
};
