import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.hc.client5.http.async.methods.SimpleHttpRequest;
import org.apache.hc.client5.http.async.methods.SimpleHttpResponse;
import org.apache.hc.client5.http.async.methods.SimpleRequestBuilder;
import org.apache.hc.client5.http.classic.methods.HttpPost;
import org.apache.hc.client5.http.impl.async.CloseableHttpAsyncClient;
import org.apache.hc.client5.http.impl.async.HttpAsyncClients;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.client5.http.impl.nio.PoolingAsyncClientConnectionManagerBuilder;
import org.apache.hc.client5.http.ssl.ClientTlsStrategyBuilder;
import org.apache.hc.client5.http.ssl.NoopHostnameVerifier;
import org.apache.hc.core5.http.ContentType;
import org.apache.hc.core5.http.io.entity.ByteArrayEntity;
import org.apache.hc.core5.http.io.entity.EntityUtils;

/**
 * Apache HttpClient 5 with its own defaults, as Client has it.
 *
 * <pre>java Apache HttpClient|HttpClient-h2 URL WORKERS THINK_MS REQUESTS_EACH ANSWER</pre>
 */
public class Apache {
    public static void main(String[] arguments) throws Exception {
        boolean http2 = arguments[0].endsWith("-h2");
        Client.run(arguments, http2 ? async(arguments[1], arguments[5]) : classic(arguments[1], arguments[5]));
    }

    static Client.Exchange classic(String url, String expected) {
        CloseableHttpClient client = HttpClients.createDefault();
        return name -> {
            HttpPost request = new HttpPost(url);
            request.setHeader("X-Request-Id", name);
            request.setEntity(new ByteArrayEntity(Client.BODY, ContentType.TEXT_PLAIN));
            return client.execute(request,
                    response -> Client.judge(response.getCode(), EntityUtils.toString(response.getEntity()), expected));
        };
    }

    /** HTTP/2 is the async client's alone. */
    static Client.Exchange async(String url, String expected) throws Exception {
        CloseableHttpAsyncClient client = HttpAsyncClients.custom()
                .setConnectionManager(PoolingAsyncClientConnectionManagerBuilder.create()
                        .setTlsStrategy(ClientTlsStrategyBuilder.create()
                                .setSslContext(Client.tls())
                                .setHostnameVerifier(NoopHostnameVerifier.INSTANCE)
                                .build())
                        .build())
                .build();
        client.start();
        return name -> {
            SimpleHttpRequest request = SimpleRequestBuilder.post(url)
                    .setHeader("X-Request-Id", name)
                    .setBody(Client.BODY, ContentType.TEXT_PLAIN)
                    .build();
            try {
                SimpleHttpResponse response = client.execute(request, null).get(2, TimeUnit.SECONDS);
                return Client.judge(response.getCode(), response.getBodyText(), expected);
            } catch (ExecutionException error) {
                throw error.getCause() instanceof Exception ? (Exception) error.getCause() : error;
            }
        };
    }
}
