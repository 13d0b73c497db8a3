const backtrack = (text) => /^(a+)+$/.test(text);

export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  return backtrack("a".repeat(64) + "b");
};
