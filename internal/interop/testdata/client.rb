# Sends POSTs over keep-alive connections of Net::HTTP, and prints a line for each:
# its name, and after a tab why it was lost.
#
#   ruby client.rb URL WORKERS THINK_MS REQUESTS_EACH ANSWER
#
# Without a number of requests (0) it goes on until its standard input is closed.
require 'net/http'

$stdout.sync = true
uri = URI(ARGV[0])
workers, think, each, expected = ARGV[1].to_i, ARGV[2].to_f / 1000, ARGV[3].to_i, ARGV[4]
body = 'politeclose ' * 20
stopping = false
printing = Mutex.new

threads = Array.new(workers) do |worker|
  Thread.new do
    http = Net::HTTP.new(uri.host, uri.port)
    n = 0
    until stopping || (each.positive? && n >= each)
      n += 1
      name = "#{worker + 1}-#{n}"
      begin
        http.start unless http.started?
        request = Net::HTTP::Post.new(uri, 'X-Request-Id' => name)
        request.body = body
        response = http.request(request)
        cause = if response.code != '200' then "status #{response.code}"
                elsif response.body != expected then 'another answer'
                end
      rescue StandardError => e
        cause = "#{e.class}: #{e.message}"
        http.finish if http.started?
      end
      printing.synchronize { puts(cause ? "#{name}\t#{cause}" : name) }
      sleep(think)
    end
  end
end
if each.zero?
  $stdin.read
  stopping = true
end
threads.each(&:join)
