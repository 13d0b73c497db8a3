//! Packages that reach the control plane otherwise than in a request, and functions of
//! another language than JavaScript.

use selvedge_tests::python::interpreters;
use selvedge_tests::{Controlled, Edge, free_port};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_may_come_out_of_the_bucket_that_the_operator_names() {
    let services = free_port().to_string();
    let key = "[outside]\naws_access_key_id = AKIDOUTSIDE\naws_secret_access_key = outside/secret+key\n";
    let line = format!(
        "s3 = {{ endpoint = \"http://{services}\", credentials = \"outside\", region = \"eu-west-3\", bucket = \"packages\" }}"
    );
    let controlled = Controlled::start_with(Edge::builder().file("outside", key), &line).await;
    controlled.run("lambda_s3.py", &[("SERVICES", &services)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_of_the_api_runs_on_the_interpreter_that_the_file_names() {
    let (runtime, interpreter) = interpreters().swap_remove(0);
    let place = tempfile::tempdir().expect("temporary files can be made");
    let named = place.path().join(runtime.id());
    std::os::unix::fs::symlink(interpreter, &named).expect("the directory is writable");
    let named = named.to_str().expect("a path is text");
    let config = format!("[runtimes]\n\"{}\" = \"{named}\"\n", runtime.id());
    let controlled = Controlled::start(Edge::builder().config(&config)).await;
    controlled.run("lambda_python.py", &[("RUNTIME", runtime.id()), ("INTERPRETER", named)]).await;
}
