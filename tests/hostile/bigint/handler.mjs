export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  let number = 3n;
  for (;;) number **= 3n;
};
