#include "tools/agent/run.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/agent/line_reader.h"
#include "tools/cli/spawn.h"
#include "tools/file_descriptor.h"

namespace nimbus::tools::agent {
namespace {

constexpr auto kForwarded = std::to_array({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2});
constexpr size_t kReadBytes = 64 * 1024;

absl::Status Failed(std::string_view what) {
  return absl::ErrnoToStatus(errno, std::string(what).c_str());
}

struct Pipe {
  FileDescriptor read, write;
};

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Failed("pipe");
  return Pipe{.read = FileDescriptor(ends[0]), .write = FileDescriptor(ends[1])};
}

absl::Status MakeNonblocking(const FileDescriptor& end) {
  const int flags = fcntl(end.number(), F_GETFL);
  if (flags < 0 || fcntl(end.number(), F_SETFL, flags | O_NONBLOCK) != 0) return Failed("pipe");
  return absl::OkStatus();
}

// The program inherits `read` and `write`, and the signals as they were before AgentSignals.
absl::StatusOr<pid_t> Start(const std::vector<std::string>& argv, const FileDescriptor& read,
                            const FileDescriptor& write, const AgentSignals& signals) {
  const int theirs_read = read.number(), theirs_write = write.number();
  return cli::Spawn({.argv = argv,
                     .environment = {fmt::format("{}={}", kReadVariable, theirs_read),
                                     fmt::format("{}={}", kWriteVariable, theirs_write),
                                     fmt::format("{}={}", kVersionVariable, kProtocolVersion)},
                     .descriptors = {{theirs_read, theirs_read}, {theirs_write, theirs_write}},
                     .signal_mask = signals.mask_before()});
}

// The calls of one program, from its start to its end.
class Conversation {
 public:
  Conversation(Server* server, FileDescriptor calls, FileDescriptor replies)
      : server_(server), calls_(std::move(calls)), replies_(std::move(replies)) {}

  // Answers what is there, then waits for what comes next: a call, room for replies, a
  // signal (to `signals`).
  absl::Status Wait(int signals, bool* signalled) {
    const bool reads_on = AnswerLines();
    // Who closed that end and has read all replies waits for one that can't come.
    if (reads_on && !calls_.open() && unsent_.empty()) replies_.Close();
    std::array<pollfd, 3> events = {pollfd{signals, POLLIN, 0}, pollfd{-1, POLLIN, 0},
                                    pollfd{-1, POLLOUT, 0}};
    if (calls_.open() && reads_on) events[1].fd = calls_.number();
    if (replies_.open() && sent_ < unsent_.size()) events[2].fd = replies_.number();
    int ready;
    do {
      ready = poll(events.data(), events.size(), -1);
    } while (ready < 0 && errno == EINTR);
    if (ready < 0) return Failed("poll");
    *signalled = events[0].revents != 0;
    if (events[2].revents != 0) Send();
    if (events[1].revents != 0) Receive();
    return absl::OkStatus();
  }

  // Answers, to nobody, what the program had sent when it ended.
  void AnswerRest() {
    replies_.Close();
    unsent_.clear();
    sent_ = 0;
    do {
      AnswerLines();
    } while (calls_.open() && Receive());
  }

 private:
  // False while too many replies wait.
  bool AnswerLines() {
    while (unsent_.size() - sent_ <= kReplyBytesMax) {
      const std::optional<LineReader::Line> line = lines_.Next();
      if (!line.has_value()) return true;
      if (line->too_long) {
        Reply(server_->AnswerTooLong());
      } else if (const std::optional<std::string> reply = server_->Answer(line->text)) {
        Reply(*reply);
      }
    }
    return false;
  }

  // False when nothing more is there.
  bool Receive() {
    const ssize_t count = read(calls_.number(), buffer_.data(), buffer_.size());
    if (count < 0 && errno == EINTR) return true;
    if (count < 0 && errno == EAGAIN) return false;
    if (count <= 0) {
      calls_.Close();
      return false;
    }
    lines_.Feed({buffer_.data(), static_cast<size_t>(count)});
    return true;
  }

  void Reply(std::string_view reply) {
    if (!replies_.open()) return;
    unsent_ += reply;
    unsent_ += '\n';
    Send();
  }

  // As much as there is room for.
  void Send() {
    while (sent_ < unsent_.size()) {
      const ssize_t count =
          write(replies_.number(), unsent_.data() + sent_, unsent_.size() - sent_);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) break;
      if (count <= 0) {  // the program reads no more replies
        replies_.Close();
        unsent_.clear();
        sent_ = 0;
        return;
      }
      sent_ += static_cast<size_t>(count);
    }
    if (sent_ == unsent_.size() || sent_ > kReplyBytesMax) {
      unsent_.erase(0, sent_);
      sent_ = 0;
    }
  }

  Server* server_;
  FileDescriptor calls_, replies_;
  LineReader lines_{kLineBytesMax};
  std::string unsent_;
  size_t sent_ = 0;  // bytes of it
  std::array<char, kReadBytes> buffer_;
};

// Forwards what has come, and says whether the program may have ended.
bool HandleSignals(int signals, pid_t pid) {
  bool child = false;
  signalfd_siginfo info;
  while (read(signals, &info, sizeof(info)) == sizeof(info)) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) {
      child = true;
    } else if (info.ssi_code != SI_KERNEL) {  // a terminal tells the program itself
      kill(pid, signal);
    }
  }
  return child;
}

std::optional<AgentEnd> EndOf(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, WNOHANG) != pid) return std::nullopt;
  return AgentEnd{.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                  .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0};
}

}  // namespace

AgentSignals::AgentSignals() {
  sigemptyset(&waiting_);
  for (const int signal : kForwarded) sigaddset(&waiting_, signal);
  sigaddset(&waiting_, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &waiting_, &mask_before_);
  // A program that reads no replies is an error of the write, not an end. Without its
  // default disposition SIGCHLD would be no signal, and the program's end not kept.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);
}

AgentSignals::~AgentSignals() { pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr); }

absl::StatusOr<AgentEnd> RunAgent(const std::vector<std::string>& argv, const AgentSignals& signals,
                                  Server* server) {
  const FileDescriptor events(signalfd(-1, &signals.waiting(), SFD_CLOEXEC | SFD_NONBLOCK));
  if (!events.open()) return Failed("signalfd");
  NIMBUS_ASSIGN_OR_RETURN(Pipe calls, MakePipe());
  NIMBUS_ASSIGN_OR_RETURN(Pipe replies, MakePipe());
  NIMBUS_RETURN_IF_ERROR(MakeNonblocking(calls.read));
  NIMBUS_RETURN_IF_ERROR(MakeNonblocking(replies.write));
  NIMBUS_ASSIGN_OR_RETURN(const pid_t pid, Start(argv, replies.read, calls.write, signals));
  calls.write.Close();
  replies.read.Close();
  const auto conversation =
      std::make_unique<Conversation>(server, std::move(calls.read), std::move(replies.write));
  for (;;) {
    bool signalled = false;
    NIMBUS_RETURN_IF_ERROR(conversation->Wait(events.number(), &signalled));
    if (!signalled || !HandleSignals(events.number(), pid)) continue;
    if (const std::optional<AgentEnd> end = EndOf(pid)) {
      conversation->AnswerRest();
      return *end;
    }
  }
}

}  // namespace nimbus::tools::agent
