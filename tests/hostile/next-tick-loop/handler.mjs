const again = () => process.nextTick(again);

export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  setTimeout(() => console.log("never"), 1);
  return new Promise(again);
};
