# The tests of the virtual machine, read by guest.sh: those of the sandbox, of
# limits, of the processor's shares and of control groups that an emulated
# processor has time for. A line: part, seconds it may take, program, filters.
tests=/run/vm/release/deps
run sandbox 60 $tests/test-sandbox
run native 600 $tests/test-native
run cpu 60 $tests/test-functions cgroup:: cpu:: household::
run invocations 300 $tests/test-invocations a_stopped_handler a_timeout_kills with_unlimited_cpu
run groups 300 $tests/test-plays groups::a_spinning groups::a_check custom::the_time_of_processes custom::the_processor_s_share
run files 600 $tests/test-plays a_handler_reads_its_own a_handler_writes_to_tmp the_machine_is_closed a_handler_cannot_listen \
  functions_run_with_what_there_is check_sandbox_prints check_sandbox_says
run python 600 $tests/test-plays landlock_alone python_functions_get a_handler_has_its_own_code a_handler_starts_no_process_and
run custom 600 $tests/test-plays a_program_has_its_own_code programs_reach_their_runtime what_a_program_may_not \
  processes_of_an_environment_are_bounded
run limits 600 $tests/test-plays a_promise_that_never_settles process_exit_costs
run hostile 300 $tests/test-hostile python-fork-bomb
run neighbour 600 $tests/test-plays neighbour:: --nocapture
