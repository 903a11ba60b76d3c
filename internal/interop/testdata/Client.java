import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.Socket;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * Sends POSTs over keep-alive connections, and prints a line for each: its name, and after a tab why it was lost.
 *
 * <pre>java Client HttpClient|HttpClient-h2|HttpURLConnection URL WORKERS THINK_MS REQUESTS_EACH ANSWER</pre>
 *
 * Without a number of requests (0) it goes on until its standard input is closed.
 */
public class Client {
    static final byte[] BODY = "politeclose ".repeat(20).getBytes(StandardCharsets.US_ASCII);

    static volatile boolean stopping;

    /** Returns why the request was lost, "" if it was not. */
    interface Exchange {
        String send(String name) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        String url = arguments[1];
        String expected = arguments[5];
        run(arguments, arguments[0].equals("HttpURLConnection")
                ? name -> byURLConnection(url, name, expected)
                : byHttpClient(arguments[0].endsWith("-h2"), url, expected));
    }

    static void run(String[] arguments, Exchange exchange) throws Exception {
        int workers = Integer.parseInt(arguments[2]);
        double think = Double.parseDouble(arguments[3]);
        int each = Integer.parseInt(arguments[4]);
        List<Thread> threads = new ArrayList<>();
        for (int worker = 1; worker <= workers; worker++) {
            int number = worker;
            Thread thread = new Thread(() -> work(exchange, number, think, each));
            thread.start();
            threads.add(thread);
        }
        if (each == 0) {
            while (System.in.read() >= 0) {
            }
            stopping = true;
        }
        for (Thread thread : threads) {
            thread.join();
        }
        System.exit(0);
    }

    static void work(Exchange exchange, int worker, double think, int each) {
        for (int n = 1; !stopping && (each == 0 || n <= each); n++) {
            String name = worker + "-" + n;
            String cause;
            try {
                cause = exchange.send(name);
            } catch (Exception error) {
                cause = String.valueOf(error).replaceAll("\\s+", " ");
            }
            synchronized (System.out) {
                System.out.println(cause.isEmpty() ? name : name + "\t" + cause);
            }
            try {
                Thread.sleep((long) think, (int) (think % 1 * 1e6));
            } catch (InterruptedException error) {
                return;
            }
        }
    }

    /** Trusts anyone: nothing but loopback is asked. */
    static final X509ExtendedTrustManager ANYONE = new X509ExtendedTrustManager() {
        public void checkClientTrusted(X509Certificate[] chain, String kind) {}

        public void checkServerTrusted(X509Certificate[] chain, String kind) {}

        public void checkClientTrusted(X509Certificate[] chain, String kind, Socket socket) {}

        public void checkServerTrusted(X509Certificate[] chain, String kind, Socket socket) {}

        public void checkClientTrusted(X509Certificate[] chain, String kind, SSLEngine engine) {}

        public void checkServerTrusted(X509Certificate[] chain, String kind, SSLEngine engine) {}

        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    };

    static SSLContext tls() throws Exception {
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, new TrustManager[] {ANYONE}, null);
        return tls;
    }

    static Exchange byHttpClient(boolean http2, String url, String expected) throws Exception {
        HttpClient client = HttpClient.newBuilder()
                .version(http2 ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1)
                .sslContext(tls())
                .build();
        return name -> {
            HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                    .header("X-Request-Id", name)
                    // Over HTTP/2 it waits for ever for what a GOAWAY has cut.
                    .timeout(Duration.ofSeconds(http2 ? 2 : 30))
                    .POST(HttpRequest.BodyPublishers.ofByteArray(BODY))
                    .build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            return judge(response.statusCode(), response.body(), expected);
        };
    }

    static String byURLConnection(String url, String name, String expected) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setRequestMethod("POST");
        connection.setRequestProperty("X-Request-Id", name);
        connection.setDoOutput(true);
        try (OutputStream out = connection.getOutputStream()) {
            out.write(BODY);
        }
        int status = connection.getResponseCode();
        try (InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
            String answer = in == null ? "" : new String(in.readAllBytes(), StandardCharsets.UTF_8);
            return judge(status, answer, expected);
        }
    }

    static String judge(int status, String answer, String expected) {
        if (status != 200) {
            return "status " + status;
        }
        return answer.equals(expected) ? "" : "another answer";
    }
}
