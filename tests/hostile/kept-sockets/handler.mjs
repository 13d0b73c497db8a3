import net from "node:net";

const kept = [];
const count = () => kept.length > 900 && kept.length < 1024 ? "more than 900" : String(kept.length);

function keep(host, port) {
  return new Promise((done, fail) => {
    const socket = net.connect(port, host);
    kept.push(socket);
    socket.once("connect", done).on("error", fail);
  });
}

export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") {
    if (kept.length > 0) console.log(`still kept ${count()}`);
    return { status: "200", body: "alive" };
  }
  const [host, port] = process.env.ORIGIN.split(":");
  try {
    for (;;) await keep(host, Number(port));
  } catch (error) {
    console.log(`kept ${count()}`);
    throw error;
  }
};
