export const other = async () => "r";
