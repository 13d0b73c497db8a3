//! Programs of one environment listen to each other on a loopback of their own,
//! which leads nowhere and which nobody else reaches.

use environment::Outcome;
use functions::{Function, FunctionConfig, Invocation, NetworkPolicy};
use selvedge_tests::custom::RUNS;
use selvedge_tests::{Stage, wait_for};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

async fn runs(stage: &Stage, allow: &[&str]) -> Arc<Function> {
    let network = NetworkPolicy::parse(allow.iter().copied()).expect("entries");
    let (timeout, variables) = (Duration::from_secs(20), [].into());
    stage.prepare(&FunctionConfig { memory_mb: 256, timeout, network, variables, ..stage.program(RUNS) }).await
}

/// Returns once the function's log has this.
async fn logged(stage: &Stage, text: &str) {
    wait_for(text, || async { stage.log_so_far().contains(text).then_some(()) }).await;
}

async fn ask(function: &Function, event: &str) -> Invocation {
    function.invoke(json!(event).to_string().into()).await
}

async fn run(function: &Function, script: &str) -> Value {
    match ask(function, script).await.outcome {
        Outcome::Result(bytes) => serde_json::from_slice(&bytes).expect("results are JSON"),
        other => panic!("{script}: {other:?}"),
    }
}

/// A port that nobody has now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_of_an_environment_listen_to_each_other() {
    let stage = Stage::new().await;
    let function = runs(&stage, &[]).await;
    // Both ends in one program: what is said arrives, and so does that nothing more is said.
    let talk = "
def talk(listener, address, family=socket.AF_INET):
    client = socket.socket(family)
    client.connect(address)
    accepted, peer = listener.accept()
    client.sendall(b'hello')
    client.shutdown(socket.SHUT_WR)
    heard = b''
    while part := accepted.recv(100):
        heard += part
    accepted.sendall(heard.upper() * 100000)
    accepted.close()
    heard = b''
    while part := client.recv(100000):
        heard += part
    return [peer[0], len(heard), heard[:5].decode()]
";
    let one = format!(
        "{talk}listener = socket.create_server(('127.0.0.1', 8080))\nreturn [listener.getsockname(), talk(listener, ('127.0.0.1', 8080)), talk(listener, ('localhost', 8080))]"
    );
    let heard = json!(["127.0.0.1", 500_000, "HELLO"]);
    assert_eq!(run(&function, &one).await, json!([["127.0.0.1", 8080], heard, heard]));
    let any = format!(
        "{talk}listener = socket.create_server(('', 0))\nport = listener.getsockname()[1]\nreturn [port > 1024, talk(listener, ('127.0.0.1', port)), talk(listener, ('sandbox.localdomain', port))]"
    );
    assert_eq!(run(&function, &any).await, json!([true, heard, heard]));
    let both = format!(
        "{talk}listener = socket.create_server(('::', 8081), family=socket.AF_INET6, dualstack_ipv6=True)\nreturn [talk(listener, ('::1', 8081), socket.AF_INET6), talk(listener, ('127.0.0.1', 8081))]"
    );
    let answer = run(&function, &both).await;
    assert_eq!((&answer[0][1], &answer[1][1]), (&json!(500_000), &json!(500_000)), "{answer}");
    // Without waiting, by two programs, and many at once.
    let server = "
import textwrap
code = textwrap.dedent('''
import asyncio, sys
async def serve(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', 8090)
    print('ready', flush=True)
    await server.serve_forever()
asyncio.run(main())
''')
child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
child.stdout.readline()
import asyncio
async def ask(number):
    reader, writer = await asyncio.open_connection('127.0.0.1', 8090)
    writer.write(f'number {number}\\n'.encode())
    return (await reader.readline()).decode()
async def main():
    return await asyncio.gather(*[ask(number) for number in range(100)])
answers = asyncio.run(main())
curl = subprocess.run(['curl', '-sS', '--http0.9', 'http://localhost:8090/'], capture_output=True, text=True)
child.kill()
child.wait()
return [answers == [f'NUMBER {number}\\n' for number in range(100)], curl.stdout]";
    assert_eq!(run(&function, server).await, json!([true, "GET / HTTP/1.1\n"]));
    // A listener that is gone refuses, as without one.
    assert_eq!(run(&function, "socket.create_connection(('127.0.0.1', 8090), 5)").await, "EACCES");
    assert_eq!(run(&function, "return socket.create_connection((host, int(port))) is not None").await, true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_outside_reaches_a_program_that_listens() {
    let stage = Stage::new().await;
    let function = runs(&stage, &[]).await;
    let port = free_port();
    let listens = format!(
        "listener = socket.create_server(('', {port}), family=socket.AF_INET6, dualstack_ipv6=True)\nother = socket.create_server(('127.0.0.1', {port} + 1 if {port} < 65535 else 1025))\nprint('LISTENS', flush=True)\nlistener.settimeout(2)\ntry:\n    listener.accept()\nexcept TimeoutError:\n    return 'nobody'\nreturn 'somebody'"
    );
    let (answer, ()) = tokio::join!(run(&function, &listens), async {
        logged(&stage, "LISTENS").await;
        let mut addresses = vec![format!("127.0.0.1:{port}"), format!("127.1.2.3:{port}"), format!("[::1]:{port}")];
        // The machine's own addresses.
        let found = std::process::Command::new("hostname").arg("-I").output();
        let found = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        addresses
            .extend(found.split_whitespace().filter(|text| text.contains('.')).map(|text| format!("{text}:{port}")));
        for address in addresses {
            let address: SocketAddr = address.parse().expect("an address");
            let reached = TcpStream::connect_timeout(&address, Duration::from_millis(500));
            assert!(reached.is_err(), "{address} was reached from the machine");
        }
        // The machine does not even know of it.
        let hexadecimal = format!(":{port:04X} ");
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let sockets = std::fs::read_to_string(table).unwrap_or_default();
            assert!(!sockets.lines().any(|line| line.contains(&hexadecimal)), "{table}");
        }
        // Nor does another environment of the same function, whether it listens itself or not.
        let connects = format!("socket.create_connection(('127.0.0.1', {port}), 5)\nreturn 'open'");
        assert_eq!(run(&function, &connects).await, "EACCES");
        let same = format!("held = socket.create_server(('127.0.0.1', 1024))\n{connects}");
        assert_eq!(run(&function, &same).await, "EACCES");
        let own = format!(
            "held = socket.create_server(('127.0.0.1', {port}))\nmade = socket.create_connection(('127.0.0.1', {port}), 5)\nheld.accept()\nreturn 'its own'"
        );
        assert_eq!(run(&function, &own).await, "its own");
    });
    assert_eq!(answer, "nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_listens_reaches_nothing_more_than_before() {
    let stage = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let machine = listener.local_addr().expect("its address").port();
    let function = runs(&stage, &[]).await;
    let listens = "held = socket.create_server(('127.0.0.1', 1024))\n";
    for (script, answer) in [
        (format!("{listens}socket.create_connection(('127.0.0.1', {machine}), 5)"), "EACCES"),
        (format!("{listens}socket.create_connection(('10.0.0.1', 80), 5)"), "EACCES"),
        (format!("{listens}socket.create_connection(('169.254.169.254', 80), 5)"), "EACCES"),
        // By a socket of the environment's own network there is nothing but itself.
        (format!("made = socket.socket()\nmade.bind(('', 0))\nmade.connect(('127.0.0.1', {machine}))"), "ECONNREFUSED"),
        ("made = socket.socket()\nmade.bind(('', 0))\nmade.connect(('1.1.1.1', 443))".to_owned(), "ENETUNREACH"),
        ("made = socket.socket()\nmade.bind(('', 0))\nmade.connect(('10.0.0.1', 443))".to_owned(), "EACCES"),
        // And its Runtime API is not there, whoever takes its place.
        ("made = socket.socket()\nmade.bind(('', 0))\nmade.connect((host, int(port)))".to_owned(), "ECONNREFUSED"),
        ("socket.socket().listen()".to_owned(), "EACCES"),
        ("socket.socket(type=socket.SOCK_DGRAM).listen()".to_owned(), "EACCES"),
        ("made = socket.create_connection((host, int(port)))\nmade.listen()".to_owned(), "EACCES"),
        ("socket.socket().bind(('10.0.0.1', 8080))".to_owned(), "EACCES"),
        ("socket.socket().bind(('192.0.2.1', 8080))".to_owned(), "EACCES"),
        (format!("{listens}socket.create_server(('127.0.0.1', 1024), reuse_port=False)"), "EADDRINUSE"),
    ] {
        assert_eq!(run(&function, &script).await, answer, "{script}");
    }
    // What is allowed by name is what it was.
    let allowed = runs(&stage, &[&format!("127.0.0.1:{machine}")]).await;
    let reaches = format!("{listens}socket.create_connection(('127.0.0.1', {machine}), 5)\nreturn 'open'");
    assert_eq!(run(&allowed, &reaches).await, "open");
    logged(&stage, "network: listening refused").await;
    logged(&stage, &format!("network: 127.0.0.1:{machine} refused: loopback addresses are denied")).await;
}
