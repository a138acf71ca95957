//! CONTRACT 4.6 over HTTP/2, frame by frame: what a bank's streams and connections may end in.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use crate::ask::{Ask, Http};
use crate::h2_bank::{
    BODY, DATA, END_STREAM, FrameBank, HEADERS, NO_ERROR, PING, REFUSED_STREAM, RST_STREAM,
    SETTINGS, Script, WINDOW_UPDATE, frame, framed, go_away, good, good_head, head,
};
use crate::world::{Setup, now, until};

/// Rows: a name, what the bank does with a call, and the fault.
macro_rules! cut_answers {
    ($($name:ident: $script:expr => $fault:ident;)*) => {$(
        #[test]
        fn $name() {
            let bank = FrameBank::start(&[], $script);
            let world = bank.world();
            for http in [Http::One, Http::Two] {
                world.call(http, Ask::token()).platform(502).logged(stringify!($fault));
            }
            assert_eq!(bank.heard(), 2, "each was sent once");
        }
    )*};
}

cut_answers! {
    a_body_that_ends_by_a_reset_without_an_error_is_cut: |to, call| {
        good_head(to, call.stream, BODY.len());
        frame(to, DATA, 0, call.stream, &BODY.as_bytes()[..20]);
        frame(to, RST_STREAM, 0, call.stream, &NO_ERROR.to_be_bytes());
        true
    } => response_truncated;
    a_body_without_a_length_that_ends_by_a_reset_without_an_error_is_cut: |to, call| {
        let fields = [(":status", "200"), ("content-type", "application/json")];
        frame(to, HEADERS, 4, call.stream, &head(&fields));
        frame(to, DATA, 0, call.stream, BODY.as_bytes());
        frame(to, RST_STREAM, 0, call.stream, &NO_ERROR.to_be_bytes());
        true
    } => response_truncated;
    a_body_that_ends_by_cancel_is_cut: |to, call| {
        good_head(to, call.stream, BODY.len());
        frame(to, DATA, 0, call.stream, BODY.as_bytes());
        frame(to, RST_STREAM, 0, call.stream, &8_u32.to_be_bytes());
        true
    } => response_truncated;
    a_body_that_ends_with_the_connection_is_cut: |to, call| {
        good_head(to, call.stream, BODY.len());
        frame(to, DATA, 0, call.stream, BODY.as_bytes());
        go_away(to, 0);
        false
    } => response_truncated;
    a_body_that_ends_with_the_connection_and_no_word_is_cut: |to, call| {
        let fields = [(":status", "200"), ("content-type", "application/json")];
        frame(to, HEADERS, 4, call.stream, &head(&fields));
        frame(to, DATA, 0, call.stream, BODY.as_bytes());
        false
    } => response_truncated;
    a_body_that_is_shorter_than_it_says_is_no_answer: |to, call| {
        good_head(to, call.stream, BODY.len() + 1);
        frame(to, DATA, END_STREAM, call.stream, BODY.as_bytes());
        true
    } => response_malformed;
    a_body_that_is_longer_than_it_says_is_no_answer: |to, call| {
        good_head(to, call.stream, BODY.len() - 1);
        frame(to, DATA, END_STREAM, call.stream, BODY.as_bytes());
        true
    } => response_malformed;
    more_interim_answers_than_there_may_be_are_no_answer: |to, call| {
        for _ in 0..9 {
            frame(to, HEADERS, 4, call.stream, &head(&[(":status", "103")]));
        }
        good(to, call.stream);
        true
    } => response_malformed;
}

#[test]
fn as_many_interim_answers_as_there_may_be_are_passed_over() {
    let bank = FrameBank::start(&[], |to, call| {
        for _ in 0..8 {
            frame(to, HEADERS, 4, call.stream, &head(&[(":status", "103"), ("link", "</x>")]));
        }
        good(to, call.stream);
        true
    });
    let world = bank.world();
    let answer = world.call(Http::One, Ask::token()).provided(200);
    assert_eq!((answer.body.as_ref(), answer.header("link")), (BODY.as_bytes(), None));
}

#[test]
fn interim_answers_without_end_end_the_connection_and_nothing_grows() {
    let bank = FrameBank::start(&[], |to, call| {
        let interim = framed(HEADERS, 4, call.stream, &head(&[(":status", "103")]));
        let many = interim.repeat(1_000);
        (0..500).all(|_| to.write_all(&many).is_ok())
    });
    let world = bank.world();
    let started = now();
    for _ in 0..3 {
        world.call(Http::One, Ask::token()).platform(502).logged("response_malformed");
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Rows: a name, a frame that is sent without end behind the first answer.
macro_rules! floods {
    ($($name:ident: $frame:expr;)*) => {$(
        #[test]
        fn $name() {
            let bank = FrameBank::start(&[], |to, call| {
                if call.connection > 1 {
                    good(to, call.stream);
                    return true;
                }
                let flood = $frame(call.stream).repeat(1_000);
                while to.write_all(&flood).is_ok() {}
                false
            });
            let world = bank.world();
            world
                .call(Http::One, Ask::token())
                .platform(502)
                .logged("response_malformed");
            world.line(|line| line["detail"] == "too many frames");
            // The next call has a connection of its own.
            world.call(Http::One, Ask::token()).provided(200);
            assert_eq!((bank.connections(), bank.heard()), (2, 2), "nothing was sent again");
        }
    )*};
}

floods! {
    a_flood_of_pings_ends_the_connection: |_| framed(PING, 0, 0, &[0; 8]);
    a_flood_of_ping_acknowledgements_ends_the_connection: |_| framed(PING, 1, 0, &[0; 8]);
    a_flood_of_settings_ends_the_connection: |_| framed(SETTINGS, 0, 0, &[]);
    a_flood_of_window_updates_ends_the_connection: |stream| {
        framed(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1])
    };
    a_flood_of_priorities_ends_the_connection: |stream| framed(2, 0, stream, &[0, 0, 0, 0, 1]);
    a_flood_of_frames_of_no_kind_ends_the_connection: |_| framed(77, 0, 0, &[]);
}

#[test]
fn a_flood_of_empty_data_ends_the_connection() {
    let bank = FrameBank::start(&[], |to, call| {
        let fields = [(":status", "200"), ("content-type", "application/json")];
        frame(to, HEADERS, 4, call.stream, &head(&fields));
        let flood = framed(DATA, 0, call.stream, &[]).repeat(1_000);
        while to.write_all(&flood).is_ok() {}
        false
    });
    let world = bank.world();
    let answer = world.call(Http::One, Ask::token()).platform(502);
    assert!(world.line_of(&answer)["fault"].as_str().unwrap().starts_with("response_"));
}

#[test]
fn what_a_bank_refused_is_sent_again_over_another_connection_and_only_that() {
    let scripts: [Script; 2] = [
        |to, call| {
            if call.connection == 1 && call.nth == 2 {
                frame(to, RST_STREAM, 0, call.stream, &REFUSED_STREAM.to_be_bytes());
            } else {
                good(to, call.stream);
            }
            true
        },
        |to, call| {
            if call.connection == 1 && call.nth == 2 {
                go_away(to, call.stream - 2);
                return false;
            }
            good(to, call.stream);
            true
        },
    ];
    for script in scripts {
        let bank = FrameBank::start(&[], script);
        let world = bank.world();
        for _ in 0..4 {
            world.call(Http::One, Ask::token()).provided(200);
        }
        assert_eq!((bank.connections(), bank.heard()), (2, 5));
    }
}

#[test]
fn a_first_call_that_is_refused_is_sent_again_over_another_connection_once() {
    let scripts: [Script; 4] = [
        |to, call| {
            if call.connection == 1 {
                frame(to, RST_STREAM, 0, call.stream, &REFUSED_STREAM.to_be_bytes());
            } else {
                good(to, call.stream);
            }
            true
        },
        |to, call| {
            if call.connection == 1 {
                go_away(to, 0);
                return false;
            }
            good(to, call.stream);
            true
        },
        |to, call| {
            frame(to, RST_STREAM, 0, call.stream, &REFUSED_STREAM.to_be_bytes());
            true
        },
        |to, _| {
            go_away(to, 0);
            false
        },
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        for lines in ["", "reuse = \"never\""] {
            let bank = FrameBank::start(&[], script);
            let world = bank.setup(lines).start();
            let answer = world.call(Http::One, Ask::token());
            if number < 2 {
                answer.provided(200);
            } else {
                answer.platform(503).logged("request_refused");
            }
            assert_eq!((bank.connections(), bank.heard()), (2, 2), "{number} {lines}");
        }
    }
}

#[test]
fn a_goaway_that_covers_the_call_is_no_reason_to_send_it_again() {
    let bank = FrameBank::start(&[], |to, call| {
        go_away(to, call.stream);
        false
    });
    let world = bank.world();
    world.call(Http::One, Ask::token()).platform(502).logged("connection_lost");
    assert_eq!(bank.heard(), 1);
}

#[test]
fn a_bank_that_refuses_every_call_is_told_as_such_at_once() {
    let bank = FrameBank::start(&[], |to, call| {
        frame(to, RST_STREAM, 0, call.stream, &REFUSED_STREAM.to_be_bytes());
        true
    });
    let world = bank.world();
    let started = now();
    for _ in 0..10 {
        world
            .call(Http::One, Ask::token())
            .refused(503, "temporarily_unavailable", "target is temporarily unavailable")
            .says("retry-after", "1")
            .logged("request_refused");
    }
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(bank.connections() <= 4, "{}", bank.connections());
}

#[test]
fn a_bank_that_allows_no_stream_is_told_as_such_at_once_and_hears_nothing() {
    // SETTINGS_MAX_CONCURRENT_STREAMS = 0.
    let bank = FrameBank::start(&[0, 3, 0, 0, 0, 0], |to, call| {
        good(to, call.stream);
        true
    });
    let world = bank.world();
    let started = now();
    for _ in 0..10 {
        world.call(Http::One, Ask::token()).platform(503).logged("request_refused");
    }
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!((bank.connections(), bank.heard()), (1, 0));
}

#[test]
fn calls_that_come_at_once_share_one_dial() {
    let bank = FrameBank::start(&[], |to, call| {
        std::thread::sleep(Duration::from_millis(20));
        good(to, call.stream);
        true
    });
    let world = bank.world();
    let calls: Vec<_> =
        (0..10).map(|_| world.client(Http::One, 1).call_meanwhile(Ask::token())).collect();
    for call in calls {
        call.join().unwrap().provided(200);
    }
    assert_eq!((bank.connections(), bank.heard()), (1, 10));
}

#[test]
fn where_a_bank_allows_few_streams_a_few_more_connections_are_made_and_no_more() {
    // SETTINGS_MAX_CONCURRENT_STREAMS = 1.
    let bank = FrameBank::start(&[0, 3, 0, 0, 0, 1], |to, call| {
        std::thread::sleep(Duration::from_millis(600));
        good(to, call.stream);
        true
    });
    let world = bank.world();
    let calls: Vec<_> =
        (0..8).map(|_| world.client(Http::One, 1).call_meanwhile(Ask::token())).collect();
    let statuses = calls.into_iter().map(|call| call.join().unwrap().status.as_u16());
    let good = statuses.filter(|status| *status == 200).count();
    assert!((1..=8).contains(&good), "{good}");
    assert!(bank.connections() <= 4, "{}", bank.connections());
}

#[test]
fn a_bank_that_is_gone_while_nobody_asks_costs_no_call() {
    let bank = FrameBank::start(&[], |to, call| {
        good(to, call.stream);
        go_away(to, call.stream);
        false
    });
    let world = bank.world();
    for count in 1..=4 {
        world.call(Http::One, Ask::token()).provided(200);
        until("the call", || (bank.heard() == count).then_some(()));
    }
    assert_eq!(bank.connections(), 4);
}

#[test]
fn one_connection_for_one_call_where_the_table_wants_it_so() {
    let bank = FrameBank::start(&[], |to, call| {
        good(to, call.stream);
        true
    });
    let world = bank.setup("reuse = \"never\"").start();
    for _ in 0..3 {
        world.call(Http::One, Ask::token()).provided(200);
    }
    assert_eq!(bank.connections(), 3);
}

/// A bank that waits for two calls on one connection, and gives each the answer to the other.
fn swapping() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    crate::world::runtime().spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                let mut waiting = None;
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let id = request.headers()["x-correlation-id"].clone();
                    let Some((other, mut first)) = waiting.take() else {
                        waiting = Some((id, respond));
                        continue;
                    };
                    let mut second: h2::server::SendResponse<bytes::Bytes> = respond;
                    for (to, id) in [(&mut first, id), (&mut second, other)] {
                        let answer = http::Response::builder()
                            .header("content-type", "application/json")
                            .header("x-correlation-id", id)
                            .body(())
                            .unwrap();
                        let mut body = to.send_response(answer, false).unwrap();
                        body.send_data(BODY.into(), true).unwrap();
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_bank_that_swaps_the_answers_of_two_streams_gives_nobody_anothers() {
    let port = swapping();
    let world = Setup::new()
        .upstream(&format!("\"http://127.0.0.1:{port}\""))
        .target("insecure_plain_upstream = true\nhttp = \"2\"\nbreaker = { failures = 1000 }")
        .start();
    for _ in 0..5 {
        let pair = [0, 1].map(|_| world.client(Http::One, 1).call_meanwhile(Ask::token()));
        for call in pair {
            let answer = call.join().unwrap().platform(502).logged("response_malformed");
            assert_eq!(world.line_of(&answer)["detail"], "another call's answer");
        }
    }
}
