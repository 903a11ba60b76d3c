<?php
// Sends POSTs over keep-alive connections of PHP's curl, a handle for each worker,
// and prints a line for each: its name, and after a tab why it was lost.
//
//   php client.php URL WORKERS THINK_MS REQUESTS_EACH ANSWER
//
// Without a number of requests (0) it goes on until its standard input is closed.
[, $url, $workers, $think, $each, $expected] = $argv;
$body = str_repeat('politeclose ', 20);
stream_set_blocking(STDIN, false);
$stopping = false;
$sent = array_fill(0, (int) $workers, 0);
$due = array_fill(0, (int) $workers, 0.0);
$busy = array_fill(0, (int) $workers, null);
$handles = array_map(fn () => curl_init(), $sent);
$multi = curl_multi_init();
do {
    if ((int) $each === 0 && !$stopping) {
        fread(STDIN, 1);
        $stopping = feof(STDIN);
    }
    foreach ($handles as $worker => $handle) {
        $more = (int) $each === 0 ? !$stopping : $sent[$worker] < (int) $each;
        if ($busy[$worker] === null && $more && microtime(true) >= $due[$worker]) {
            $busy[$worker] = ($worker + 1) . '-' . ++$sent[$worker];
            curl_setopt_array($handle, [
                CURLOPT_URL => $url, CURLOPT_POSTFIELDS => $body, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 30,
                CURLOPT_HTTPHEADER => ["X-Request-Id: {$busy[$worker]}"], CURLOPT_PRIVATE => (string) $worker,
            ]);
            curl_multi_add_handle($multi, $handle);
        }
    }
    curl_multi_exec($multi, $running);
    while ($done = curl_multi_info_read($multi)) {
        $handle = $done['handle'];
        $worker = (int) curl_getinfo($handle, CURLINFO_PRIVATE);
        $status = curl_getinfo($handle, CURLINFO_RESPONSE_CODE);
        $cause = match (true) {
            $done['result'] !== CURLE_OK => curl_error($handle) ?: curl_strerror($done['result']),
            $status !== 200 => "status $status",
            curl_multi_getcontent($handle) !== $expected => 'another answer',
            default => '',
        };
        echo $busy[$worker], $cause === '' ? '' : "\t$cause", "\n";
        curl_multi_remove_handle($multi, $handle);
        $busy[$worker] = null;
        $due[$worker] = microtime(true) + (float) $think / 1000;
    }
    if (curl_multi_select($multi, 0.001) <= 0) {
        usleep(500);
    }
    $left = array_filter($busy);
    $more = (int) $each === 0 ? !$stopping : array_filter($sent, fn ($n) => $n < (int) $each);
} while ($left || $more);
