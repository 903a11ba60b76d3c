import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

/**
 * OkHttp with its own defaults, as Client has it. Over TLS it speaks HTTP/2.
 *
 * <pre>java Square OkHttp|OkHttp-h2 URL WORKERS THINK_MS REQUESTS_EACH ANSWER</pre>
 */
public class Square {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[1];
        String expected = arguments[5];
        OkHttpClient client = new OkHttpClient.Builder()
                .sslSocketFactory(Client.tls().getSocketFactory(), Client.ANYONE)
                .hostnameVerifier((host, session) -> true)
                .build();
        Client.run(arguments, name -> {
            Request request = new Request.Builder()
                    .url(url)
                    .header("X-Request-Id", name)
                    .post(RequestBody.create(MediaType.get("text/plain"), Client.BODY))
                    .build();
            try (Response response = client.newCall(request).execute()) {
                return Client.judge(response.code(), response.body().string(), expected);
            }
        });
    }
}
