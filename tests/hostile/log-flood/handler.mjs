export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  for (let nth = 0; nth < 1e5; nth++) console.log(`line ${nth} ${"x".repeat(100)}`);
  return { status: "200", body: "alive" };
};
