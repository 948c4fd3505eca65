//! A file that is not there yet, and one that never comes.

use super::*;

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_asked_for_again_with_credentials() {
    for status in [404, 429, 500, 503] {
        let server = Server::start(move |_, before| match before {
            0 | 1 => StatusCode::from_u16(status).unwrap().into_response(),
            _ => "a file".into_response(),
        })
        .await;

        let media = client(&server.base_url()).fetch_media(&server.file_url(), &patient()).await.unwrap();

        assert_eq!(media.bytes, b"a file");
        let seen = server.seen.lock().unwrap().clone();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|(path, credentials)| path == FILE && credentials.is_some()));
    }
}

#[tokio::test]
async fn a_file_that_is_missing_behind_the_redirect_is_asked_for_from_the_beginning() {
    let server = Server::start(|path, before| match (path, before) {
        (FILE, _) => redirect("/cdn/1"),
        (_, 1) => StatusCode::NOT_FOUND.into_response(),
        _ => "a file".into_response(),
    })
    .await;

    client(&server.base_url()).fetch_media(&server.file_url(), &patient()).await.unwrap();

    assert_eq!(server.paths(), [FILE, "/cdn/1", FILE, "/cdn/1"]);
}

#[tokio::test]
async fn a_file_that_never_comes_is_given_up() {
    let server = Server::start(|_, _| StatusCode::NOT_FOUND.into_response()).await;

    let limits = MediaLimits { retry_for: Duration::from_millis(50), ..limits() };
    let error = server.fetch_error(&limits).await;

    let MediaError::Failed(reason) = error else { panic!("{error}") };
    assert!(reason.contains("404"), "{reason}");
    assert!(server.paths().len() > 1);
}

#[tokio::test]
async fn retries_end_at_the_timeout() {
    let server = Server::start(|_, _| StatusCode::NOT_FOUND.into_response()).await;

    let limits = MediaLimits {
        timeout: Duration::from_millis(100),
        retry_every: Duration::from_secs(60),
        retry_for: Duration::from_secs(600),
        ..limits()
    };
    let fetched = tokio::time::timeout(Duration::from_secs(50), server.fetch_error(&limits));

    let error = fetched.await.expect("no retry outlasts the timeout");
    assert!(matches!(error, MediaError::Failed(_)), "{error}");
}

#[tokio::test]
async fn wrong_credentials_are_named_and_not_tried_again() {
    for status in [401, 403] {
        let server = Server::start(move |_, _| StatusCode::from_u16(status).unwrap().into_response()).await;

        let error = server.fetch_error(&patient()).await;

        let MediaError::Failed(reason) = error else { panic!("{error}") };
        assert!(reason.contains("credentials") && !reason.contains("secret"), "{reason}");
        assert_eq!(server.paths(), [FILE]);
    }
}

#[tokio::test]
async fn any_other_answer_is_no_file_and_not_tried_again() {
    for status in [204, 206, 304, 400, 410] {
        let server = Server::start(move |_, _| StatusCode::from_u16(status).unwrap().into_response()).await;

        let error = server.fetch_error(&patient()).await;

        assert!(matches!(error, MediaError::Failed(_)), "{status} {error}");
        assert_eq!(server.paths(), [FILE]);
    }
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_or_breaks_is_a_failure() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (broken, accepting) = one_request().await;
    tokio::spawn(async move {
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf";
        accepting.await.unwrap().write_all(half).await.unwrap();
    });

    for base_url in [nobody, broken] {
        let url = format!("{base_url}{FILE}?Signature=y");
        let error = client(&base_url).fetch_media(&url, &limits()).await.unwrap_err();

        assert!(matches!(error, MediaError::Failed(_)), "{error}");
        assert!(!error.to_string().contains("Signature"), "{error}");
    }
}
