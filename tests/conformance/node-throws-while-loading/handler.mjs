throw new RangeError("early");
export const handler = async () => "r";
