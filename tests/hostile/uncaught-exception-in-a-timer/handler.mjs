export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  setTimeout(() => {
    throw new RangeError("from the timer");
  }, 5);
  return new Promise((resolve) => setTimeout(resolve, 1000));
};
