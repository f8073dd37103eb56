//! Requests come as JSON lines on the standard input, each is answered by a line on the standard output. The first
//! line out names the certificate's fingerprint, which all clients share. Ends with the input.

use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;
use std::sync::mpsc;

use callcluster_load::generator::Generator;

fn main() -> ExitCode {
    let (lines, inbox) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let mut generator = Generator::new();
    let answer = |line: String| writeln!(stdout(), "{line}").and_then(|()| stdout().flush());
    if answer(generator.greeting()).is_err() {
        return ExitCode::SUCCESS;
    }
    loop {
        match inbox.try_recv() {
            Ok(line) => {
                // The driver is gone: so is the purpose.
                if answer(generator.answer(&line)).is_err() {
                    return ExitCode::SUCCESS;
                }
            }
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => return ExitCode::SUCCESS,
        }
        if let Err(error) = generator.step() {
            eprintln!("callcluster-load: {error}");
            return ExitCode::FAILURE;
        }
    }
}
