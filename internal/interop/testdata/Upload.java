import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Sends a file, and prints the status and the size of the answer.
 *
 * <pre>java Upload.java HttpClient|HttpURLConnection URL FILE</pre>
 */
public class Upload {
    public static void main(String[] arguments) throws Exception {
        URI target = URI.create(arguments[1]);
        byte[] file = Files.readAllBytes(Path.of(arguments[2]));
        if (arguments[0].equals("HttpClient")) {
            HttpRequest request = HttpRequest.newBuilder(target).POST(HttpRequest.BodyPublishers.ofByteArray(file)).build();
            HttpResponse<byte[]> response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofByteArray());
            System.out.println(response.statusCode() + " " + response.body().length);
            return;
        }
        HttpURLConnection connection = (HttpURLConnection) target.toURL().openConnection();
        connection.setDoOutput(true);
        connection.getOutputStream().write(file);
        int status = connection.getResponseCode();
        System.out.println(status + " " + connection.getErrorStream().readAllBytes().length);
    }
}
