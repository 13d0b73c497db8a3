export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  setInterval(() => console.log("late"), 1);
  return { status: "200", body: "alive" };
};
